"""An HTTP server on loopback that serves a folder with ranges, and misbehaves as it is told."""
import contextlib
import email.utils
import hashlib
import os
import http.server
import pathlib
import threading
import time


class Behaviour:
    """What the server does; counts what it was asked."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.requests = []       # (path, Range or None)
        self.at_once = 0         # requests in work: now,
        self.most_at_once = 0    # and at most
        self.delay = 0           # seconds before a reply
        self.fail_first = 0      # this many requests are answered with `status`
        self.status = 503
        self.cut_first = 0       # this many replies end in the middle
        self.cut_at = None       # and where
        self.ranges = True
        self.style = "length"    # or "chunked", "close" (neither), "chunked-cut"
        self.redirect = None     # an address for all requests
        self.headers = {}
        self.etags = False       # and If-Match is obeyed
        self.dated = False       # Last-Modified
        self.on_request = None   # called with the path and the range, before anything is read


@contextlib.contextmanager
def serve(folder, tls=None):
    behaviour = Behaviour(pathlib.Path(folder))
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            with lock:
                behaviour.at_once += 1
                behaviour.most_at_once = max(behaviour.most_at_once, behaviour.at_once)
            try:
                time.sleep(behaviour.delay)
                self.reply()
            finally:
                with lock:
                    behaviour.at_once -= 1

        def reply(self):
            asked = self.headers.get("Range")
            with lock:
                behaviour.requests.append((self.path, asked))
                fails, cuts = behaviour.fail_first > 0, behaviour.cut_first > 0
                behaviour.fail_first -= fails
            if behaviour.redirect:
                self.send_response(302)
                self.send_header("Location", behaviour.redirect + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fails:
                self.send_response(behaviour.status)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"sorry")
                return
            if behaviour.on_request:
                with lock:
                    behaviour.on_request(self.path, asked)
            path = behaviour.folder / self.path.split("?")[0].lstrip("/")
            if not path.is_file():
                self.send_response(404)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"none")
                return
            with path.open("rb") as file:  # its bytes and its time are of one file, whatever takes its name
                data, modified = file.read(), os.fstat(file.fileno()).st_mtime
            size = len(data)
            etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
            wanted = self.headers.get("If-Match")
            if behaviour.etags and wanted and wanted != etag:
                self.send_response(412)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if asked and behaviour.ranges:
                begin, end = (int(n) for n in asked.removeprefix("bytes=").split("-"))
                if begin >= size:
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                data = data[begin:end + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{begin + len(data) - 1}/{size}")
            else:
                self.send_response(200)
            if behaviour.etags:
                self.send_header("ETag", etag)
            if behaviour.dated:
                self.send_header("Last-Modified", email.utils.formatdate(modified, usegmt=True))
            for key, value in behaviour.headers.items():
                self.send_header(key, value)
            if behaviour.style == "length":
                self.send_header("Content-Length", str(len(data)))
            elif behaviour.style.startswith("chunked"):
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            cut = len(data)
            if cuts:
                cut = behaviour.cut_at if behaviour.cut_at is not None else len(data) // 2
                if cut < len(data):
                    with lock:
                        behaviour.cut_first -= 1
            body = data[:cut]
            if behaviour.style.startswith("chunked"):
                for at in range(0, len(body), 50000):
                    piece = body[at:at + 50000]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if cut == len(data):
                    self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(body)
            if cut < len(data):
                self.wfile.flush()
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    behaviour.address = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    try:
        yield behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
