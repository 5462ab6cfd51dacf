"""What a large cohort costs in time, disk and money, from measured rates.

python -m benchmarks.preprocess --films 200 --rates rates.json
python -m benchmarks.scale rates.json --films 377110
"""

import argparse
import json
from pathlib import Path

MACHINES = ((1, 2), (1, 16), (1, 64), (8, 16), (16, 16))  # machines, cores of each
EFFICIENCY = 0.85  # of many cores against one: they share disk and memory


def main() -> None:
    """Print a table of machines and one of disks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rates", type=Path, help="written by benchmarks.preprocess --rates")
    parser.add_argument("--films", type=int, default=377_110, help="MIMIC-CXR has 377,110")
    parser.add_argument("--core-hour", type=float, default=0.0446, help="dollars; a sixteenth of a c7i.4xlarge hour")
    parser.add_argument("--gigabyte-month", type=float, default=0.023, help="dollars; S3 Standard")
    options = parser.parse_args()
    facts = json.loads(options.rates.read_text(encoding="utf-8"))
    seconds = {stage: options.films / rate for stage, rate in facts["films_per_second_per_core"].items()}
    total = sum(seconds.values())
    print(f"{options.films:,} films; core hours: ", end="")
    print(", ".join(f"{stage} {spent / 3600:.1f}" for stage, spent in seconds.items()), f"= {total / 3600:.1f}")
    print(f"\n{'machines':<22}{'hours':>8}{'dollars':>10}")
    for machines, cores in MACHINES:
        hours = total / 3600 / (machines * cores * EFFICIENCY)
        cost = hours * machines * cores * options.core_hour
        print(f"{f'{machines} x {cores} cores':<22}{hours:>8.1f}{cost:>10.2f}")
    print(f"\n{'kept':<22}{'GB':>8}{'dollars a month in S3':>24}")
    for name, size in facts["bytes_per_film"].items():
        gigabytes = size * options.films / 1e9
        print(f"{name:<22}{gigabytes:>8.1f}{gigabytes * options.gigabyte_month:>24.2f}")


if __name__ == "__main__":
    main()
