"""A web application that knows nothing of functions."""

import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(f"GET {self.path}".encode())

    def do_POST(self):
        self.answer(b"POST " + self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(418 if self.path == "/teapot" else 200)
        self.send_header("X-Seen", self.headers.get("X-Sent", ""))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
