"""A process of its own in which ConnectorX reads: it holds the interpreter's lock while it waits, and panics onto
stderr. Started by `connectorx.py`, as a file, so that it imports nothing of ours.

A request is a JSON line: {"url", "query", "rows"}. The answer is a row of messages, each a kind (one byte), its length
(8 bytes, little-endian) and its bytes: S a schema, B a record batch (Arrow IPC), E an error's text, Z the end.
"""

import json
import os
import sys


def main() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    import connectorx

    for line in sys.stdin:
        request = json.loads(line)
        try:
            reader = connectorx.read_sql(
                request["url"], request["query"], return_type="arrow_stream", batch_size=request["rows"]
            )
            send(answers, b"S", reader.schema.serialize())
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                send(answers, b"B", batch.serialize())
            del reader
            send(answers, b"Z", b"")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  # a panic of Rust is one
            send(answers, b"E", str(error).encode())


def send(answers: int, kind: bytes, payload: object) -> None:
    view = memoryview(payload).cast("B")  # type: ignore[arg-type]  # bytes or an Arrow buffer
    for part in (memoryview(kind + len(view).to_bytes(8, "little")), view):
        while part:
            part = part[os.write(answers, part) :]


if __name__ == "__main__":
    main()
