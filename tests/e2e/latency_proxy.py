"""Passes TCP connections on, and whatever goes over them so many milliseconds late, in each direction.

    python latency_proxy.py ADDRESS:PORT HOST:PORT MILLISECONDS

It delays, it does not slow down: any amount may be under way at a time.
"""

import asyncio
import sys


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, `delay` seconds later."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def receive() -> None:
        data = b"..."
        while data:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            under_way.put_nowait((clock() + delay, data))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        receiving.cancel()
        writer.close()


async def main(here: str, target: str, milliseconds: str) -> None:
    address, _, port = here.partition(":")
    host, _, target_port = target.partition(":")
    delay = float(milliseconds) / 1000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(host, int(target_port))
        there, back = pass_on(reader, there_writer, delay), pass_on(there_reader, writer, delay)
        await asyncio.gather(there, back)

    server = await asyncio.start_server(connected, address, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
