"""The first process of a sandbox that has external extensions: starts them and the runtime on the worker's orders.

Arguments: the directory of the extensions, then the runtime's command. Orders come and reports go as JSON lines on a
connection to the Runtime API's listener. It holds no secret and no power: it is a process of the function's user like
the others, and when it ends, so does the sandbox. Runs on every supported Python and imports nothing of the platform.

orders   {"start": NAME} {"signal": NUMBER, "name": NAME}       NAME "": the runtime
reports  {"failed": NAME, "why": TEXT} {"exited": NAME, "code": N} {"said": NAME, "text": TEXT}
"""

import errno
import json
import os
import select
import signal
import socket
import sys

RUNTIME = ""
#: what AWS does not give to extensions; nor anything that starts with an underscore
WITHHELD = {
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
}


class InitProcess:
    def __init__(self, directory, command):
        self.directory, self.command = directory, command
        self.names = {}  # pid -> name
        self.pids = {}
        self.outputs = {}  # our end of an extension's output -> [name, what is no whole line yet]
        self.home = os.getcwd()
        self.poll = select.poll()

    def run(self):
        host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].rpartition(":")
        self.link = socket.create_connection((host, int(port)))
        wake, wake_write = os.pipe()
        for end in (wake, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.link.sendall(b"GET /hearth/init HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        self.poll.register(self.link, select.POLLIN)
        self.poll.register(wake, select.POLLIN)
        partial = b""
        while True:
            for number, _ in self.poll.poll():
                if number == wake:
                    os.read(wake, 4096)
                    self.reap()
                elif number in self.outputs:
                    self.read(number)
                else:
                    data = self.link.recv(65536)
                    if not data:
                        return
                    *lines, partial = (partial + data).split(b"\n")
                    for line in lines:
                        self.obey(json.loads(line))

    def obey(self, order):
        if "start" in order:
            self.start(order["start"])
        elif order["name"] in self.pids:
            self.signal(self.pids[order["name"]], order["signal"])

    def signal(self, pid, number):
        try:
            if number == signal.SIGKILL:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
        except OSError:
            pass  # it ends at this very moment

    def start(self, name):
        try:
            pid = self.start_runtime() if name == RUNTIME else self.start_extension(name)
        except OSError as exc:
            self.tell(failed=name, why=self.why(name, exc))
        else:
            self.names[pid], self.pids[name] = name, pid

    def start_runtime(self):
        os.chdir(self.home)
        path = self.command[0]
        search = os.posix_spawnp if "/" not in path else os.posix_spawn
        return self.spawn(search, path, self.command, os.environ, [])

    def start_extension(self, name):
        read, write = os.pipe()
        os.chdir("/")
        kept = {key: value for key, value in os.environ.items() if key not in WITHHELD and not key.startswith("_")}
        path = os.path.join(self.directory, name)
        try:
            streams = [(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, write, 2)]
            pid = self.spawn(os.posix_spawn, path, [path], kept, streams)
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        self.outputs[read] = [name, b""]
        self.poll.register(read, select.POLLIN)
        return pid

    @staticmethod
    def spawn(call, path, arguments, environment, streams):
        """In a session of its own, with the signals that Python ignores set back."""
        ignored = [signal.SIGPIPE, signal.SIGXFSZ]
        return call(path, arguments, dict(environment), file_actions=streams, setsid=True, setsigdef=ignored)

    @staticmethod
    def why(name, exc):
        reason = {errno.ENOEXEC: "exec format error", errno.EACCES: "permission denied"}.get(exc.errno)
        return reason or (os.strerror(exc.errno) if exc.errno else str(exc))

    def read(self, number):
        said = self.outputs[number]
        data = os.read(number, 16384)
        *lines, said[1] = (said[1] + data).split(b"\n")
        if said[1] and (not data or len(said[1]) > 262144):
            lines.append(said[1])
            said[1] = b""
        for line in lines:
            self.tell(said=said[0], text=line.decode("utf-8", "replace"))
        if not data:
            self.poll.unregister(number)
            os.close(number)
            del self.outputs[number]

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            name = self.names.pop(pid, None)
            if name is not None:
                del self.pids[name]
                for number in [one for one, said in self.outputs.items() if said[0] == name]:
                    os.set_blocking(number, False)
                    self.drain(number)
                self.tell(exited=name, code=os.waitstatus_to_exitcode(status))

    def drain(self, number):
        """What it said before it ended is told before its end."""
        try:
            while number in self.outputs:
                self.read(number)
        except BlockingIOError:
            pass  # a child of it has the pipe too

    def tell(self, **report):
        self.link.sendall(json.dumps(report).encode() + b"\n")


if __name__ == "__main__":
    InitProcess(sys.argv[1], sys.argv[2:]).run()
