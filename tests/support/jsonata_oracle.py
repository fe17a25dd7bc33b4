"""The reference implementation of JSONata, npm's `jsonata`, in one Node.js process that answers line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support import places

VERSION = "2.2.2"
_FOLDER = places.CACHE / "npm" / f"jsonata-{VERSION}"
_INSTALL_S = 120

_PROGRAM = """
const jsonata = require('jsonata');
const lines = require('readline').createInterface({input: process.stdin});
lines.on('line', async (line) => {
  const [source, bindings] = JSON.parse(line);
  let answer;
  try {
    const value = await jsonata(source).evaluate(undefined, bindings);
    answer = value === undefined ? {undefined: true} : {value};
  } catch (error) {
    answer = {code: error.code || String(error)};
  }
  console.log(JSON.stringify(answer));
});
"""


class Unavailable(Exception):
    """This host has no Node.js, or npm could not fetch the package."""


class JsonataOracle:
    """`with` it; answers are {"value": …}, {"undefined": true} or {"code": "T1006"}."""

    def __init__(self) -> None:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise Unavailable("Node.js is not installed")
        if not (_FOLDER / "node_modules" / "jsonata").is_dir():
            _FOLDER.mkdir(parents=True, exist_ok=True)
            command = [npm, "install", "--no-save", "--prefix", str(_FOLDER), f"jsonata@{VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
            if done.returncode:
                raise Unavailable(f"npm: {done.stderr.strip()[-300:]}")
        self._command = [node, "-e", _PROGRAM]
        self._folder: Path = _FOLDER

    def __enter__(self) -> JsonataOracle:
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def answer(self, source: str, bindings: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([source, bindings]) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))
