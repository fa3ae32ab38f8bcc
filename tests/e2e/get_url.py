"""GETs a URL, without any proxy, and prints the status and the body; `0` and the reason without an answer.

    HTTP_USER=name:password python get_url.py URL SECONDS

It runs where the published ports can be reached, which may not be where the tests run.
"""

import base64
import os
import sys
import urllib.error
import urllib.request


def main(url: str, seconds: str) -> None:
    request = urllib.request.Request(url)  # noqa: S310 - the tests' own addresses
    if os.environ.get("HTTP_USER"):
        code = base64.b64encode(os.environ["HTTP_USER"].encode()).decode()
        request.add_header("Authorization", f"Basic {code}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=float(seconds)) as response:
            status, body = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read().decode()
    except OSError as error:
        status, body = 0, str(error)
    print(status)
    print(body, end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
