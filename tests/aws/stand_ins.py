"""Stages that stand in for training where a test is about the way around it."""

import textwrap

OUTS = """
from pathlib import Path
Path("models/curves").mkdir(parents=True, exist_ok=True)
Path("models/curves/x.tsv").write_text("x")
Path("models/classifier.ckpt").write_bytes(b"weights")
Path("models/history.csv").write_text("epoch,train_loss\\n0,0.5\\n")
"""
QUICK = OUTS
# A checkpoint that is seen by whoever mirrors the folder, and then deleted.
CHECKPOINT = """
import time
from pathlib import Path
state = Path(".cache/train/runs/state")
state.touch()
time.sleep(0.5)
state.unlink()
"""
CRASH = """
def forward(films):
    return films / 0

print("about to crash")
forward(3)
"""
FAULT = """
import sys
print("error: train.batch: 64 is more than the 16 training films; lower it", file=sys.stderr)
sys.exit(1)
"""
KILLED = """
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""
WAIT = """
import signal, sys, time
from pathlib import Path

def leave(*_):
    Path(".cache/train/runs/saved").write_text("state")
    sys.exit(143)

signal.signal(signal.SIGTERM, leave)
print("epoch 0: train loss 0.5, waiting", file=sys.stderr, flush=True)
time.sleep(600)
"""
PARAMS = (
    OUTS
    + """
Path("models/history.csv").write_text(Path("params.yaml").read_text())
"""
)
ENVIRONMENT = (
    OUTS
    + """
import json, os
facts = {name: value for name, value in os.environ.items() if name.startswith("SM_")}
facts["parent"] = os.getppid()
facts["channel"] = sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"]))
Path("models/history.csv").write_text(json.dumps(facts))
"""
)
CONNECT = (
    OUTS
    + """
import socket
answers = []
for place in {places!r}:
    try:
        socket.create_connection(tuple(place), timeout=3).close()
        answers.append("reached")
    except OSError as error:
        answers.append("unreachable")
Path("models/history.csv").write_text(" ".join(answers))
"""
)
# Rank 0 dies of an error; another rank waits for it and holds stderr.
LEFT_BEHIND = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
1 / 0
"""
FILES = (
    OUTS
    + """
import json, os
facts = {"folder": os.getcwd(), "compute": Path("compute.yaml").read_text(), "params": Path("params.yaml").read_text()}
Path("models/history.csv").write_text(json.dumps(facts))
"""
)
IMPORTS = (
    OUTS
    + """
import travelling_package
Path("models/history.csv").write_text(travelling_package.WORD)
"""
)
# Hands itself off; in the job, where the backend is local, it only leaves outs.
HANDED_OFF = f"""
from pathlib import Path
if "backend: sagemaker" in Path("compute.yaml").read_text():
    from cxr.runtime.console import run_stage
    from stages.real_train import main
    run_stage(main)
else:
{textwrap.indent(OUTS, "    ")}
"""
# The real stage, slow enough to be interrupted between two batches; once it resumes, as fast as it is.
SLOW = """
import time
from pathlib import Path
from cxr.runtime.console import run_stage
from cxr.models.portable import use_portable_arithmetic
use_portable_arithmetic()  # as the real stage does, before torch is loaded
from cxr.train.state import RunState
from stages.real_train import main

is_due = RunState.is_due

resumes = any(Path(".cache/train/runs").rglob("resume.ckpt"))

def slowly(self):
    time.sleep(0 if resumes else 0.8)
    return is_due(self)

RunState.is_due = slowly
run_stage(main)
"""
