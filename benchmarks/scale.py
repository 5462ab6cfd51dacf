"""What a large cohort costs in time, disk and money, from measured rates.

python -m benchmarks.preprocess --films 200 --width 2544 --height 3056 --rates rates.json
python -m benchmarks.s3 --rates rates.json
python -m benchmarks.scale rates.json --films 377110
"""

import argparse
import json
from math import ceil
from pathlib import Path

from cxr.npz.pack import SHARD_BYTES

MACHINES = ((1, 2), (1, 16), (1, 64), (4, 16), (16, 16))  # machines, cores of each
EFFICIENCY = 0.85  # of many cores against one: they share memory and disks
READS = 3  # each of the three stages reads a film


def main() -> None:
    """Print a table of machines and one of disks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rates", type=Path, help="written by benchmarks.preprocess --rates")
    parser.add_argument("--films", type=int, default=377_110, help="MIMIC-CXR has 377,110")
    parser.add_argument("--film-megabytes", type=float, help="a film's file, where it is not that of the measurement")
    parser.add_argument("--storage", type=float, default=1.0, help="GB/s that all machines together can read")
    parser.add_argument("--gpu-hour", type=float, default=1.41, help="dollars; an ml.g5.xlarge hour")
    parser.add_argument("--core-hour", type=float, default=0.0446, help="dollars; a sixteenth of a c7i.4xlarge hour")
    parser.add_argument("--gigabyte-month", type=float, default=0.023, help="dollars; S3 Standard")
    options = parser.parse_args()
    facts = json.loads(options.rates.read_text(encoding="utf-8"))
    hours = {stage: options.films / rate / 3600 for stage, rate in facts["films_per_second_per_core"].items()}
    sizes = {name: size * options.films / 1e9 for name, size in facts["bytes_per_film"].items()}
    if options.film_megabytes:
        sizes["films"] = options.film_megabytes * options.films / 1e3
    core_hours, reading = sum(hours.values()), READS * sizes["films"] / options.storage / 3600

    print(f"{options.films:,} films; core hours: ", end="")
    print(" + ".join(f"{stage} {spent:.1f}" for stage, spent in hours.items()), f"= {core_hours:.1f}")
    print(f"\n{'machines':<18}{'hours':>8}{'bound by':>12}{'dollars':>10}")
    for machines, cores in MACHINES:
        computing = core_hours / (machines * cores * EFFICIENCY)
        spent = max(computing, reading)
        bound = "processor" if computing > reading else "storage"
        cost = spent * machines * cores * options.core_hour
        print(f"{f'{machines} x {cores} cores':<18}{spent:>8.1f}{bound:>12}{cost:>10.2f}")
    print(f"\n{'kept':<18}{'GB':>8}{'dollars a month in S3':>24}")
    for name, size in sizes.items():
        print(f"{name:<18}{size:>8.1f}{size * options.gigabyte_month:>24.2f}")
    print(f"\nshards: {ceil(sizes['shards'] * 1e9 / SHARD_BYTES)} objects or more")
    for direction, rate in facts["shard_bytes_per_second"].items():
        took = sizes["shards"] * 1e9 / rate / 3600
        print(f"  {direction} in {took:.2f} hours at the measured {rate / 1e6:.0f} MB/s; ", end="")
        print(f"a GPU that waits for it costs {took * options.gpu_hour:.2f} dollars")


if __name__ == "__main__":
    main()
