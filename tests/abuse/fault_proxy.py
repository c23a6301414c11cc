#!/usr/bin/env python3
"""A TCP proxy that breaks what it forwards. To be imported, or run beside anything:

    tests/abuse/fault_proxy.py LISTEN_PORT TARGET_PORT FAULT...

Faults, for both directions unless `up:` (towards the target) or `down:` stands before it:
    delay=MS      every piece arrives this much later
    dribble=MS    one byte every MS
    stall=N       after N bytes nothing is forwarded any more; the connections stay open (a lost path)
    cut=N         after N bytes both sides are closed
    reset=N       after N bytes both sides are reset
For a whole connection:
    mute          accepts, and never reads nor connects
    half-open     once anything was answered: what either side sends or closes is lost, and the connection stays
    idle=MS       closes a connection that has been silent for a random time of up to MS
    refuse-reuse  closes a connection when a second request arrives on it, and forwards nothing of that
"""

import asyncio
import random
import re
import socket
import struct
import sys
import time

FAULT = re.compile(r"(?:(up|down):)?(delay|dribble|stall|cut|reset|idle)=(\d+)$|(mute|half-open|refuse-reuse)$")


class FaultProxy:
    """Forwards to a port of this machine. `faults` may be changed at any time; it holds for what comes then."""

    def __init__(self, target, faults=(), seed=1):
        self.target, self.random, self.connections, self.tasks = target, random.Random(seed), 0, set()
        self.set(*faults)

    def set(self, *faults):
        """These faults from now on."""
        self.ways, self.whole = {"up": {}, "down": {}}, {}
        for fault in faults:
            found = FAULT.match(fault)
            if not found:
                raise ValueError(f"no fault: {fault}")
            way, kind, number, flag = found.groups()
            if flag or kind == "idle":
                self.whole[flag or kind] = int(number or 0)
            else:
                for each in [way] if way else ["up", "down"]:
                    self.ways[each][kind] = int(number)

    async def start(self, port=0):
        """Listens on this port of loopback (0: any); returns the port."""
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=1024)
        return self.server.sockets[0].getsockname()[1]

    async def stop(self):
        """Ends everything."""
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            await self._connection(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.transport.abort()

    async def _connection(self, reader, writer):
        if "mute" in self.whole:
            await asyncio.Event().wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        state = {"last": time.monotonic(), "answered": False}
        pumps = [
            asyncio.ensure_future(self._pump("up", reader, far_writer, state)),
            asyncio.ensure_future(self._pump("down", far_reader, writer, state)),
            asyncio.ensure_future(self._idle(state)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if any(pump.result() == "reset" for pump in done if not pump.exception()):
                for each in (writer, far_writer):
                    linger = struct.pack("ii", 1, 0)
                    each.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            elif not any(pump.exception() for pump in done):
                # What was forwarded arrives before the end does.
                for each in (writer, far_writer):
                    each.close()
                await asyncio.sleep(0.05)
        finally:
            for pump in pumps:
                pump.cancel()
            far_writer.transport.abort()

    async def _pump(self, way, reader, writer, state):
        passed = 0
        while True:
            data = await reader.read(65536)
            if "half-open" in self.whole and state["answered"]:
                await asyncio.Event().wait()
            if not data:
                return "end"
            if way == "up" and state["answered"] and "refuse-reuse" in self.whole:
                return self.random.choice(["reset", "end"])
            faults = self.ways[way]
            await asyncio.sleep(faults.get("delay", 0) / 1000)
            for kind in ("stall", "cut", "reset"):
                if kind in faults and passed + len(data) >= faults[kind]:
                    writer.write(data[: faults[kind] - passed])
                    await writer.drain()
                    if kind == "stall":
                        await asyncio.Event().wait()
                    await asyncio.sleep(0.02)
                    return kind
            passed += len(data)
            for piece in [data[i : i + 1] for i in range(len(data))] if "dribble" in faults else [data]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(faults.get("dribble", 0) / 1000)
            state["last"] = time.monotonic()
            state["answered"] |= way == "down"

    async def _idle(self, state):
        how = self.random.choice(["end", "reset"])
        # A reset destroys what the other side has not read yet; an idle connection has nothing of the kind.
        patience = self.random.random() * self.whole.get("idle", 0) / 1000 + (0.05 if how == "reset" else 0)
        while True:
            await asyncio.sleep(0.001 if "idle" in self.whole else 0.2)
            if "idle" in self.whole and state["answered"] and time.monotonic() - state["last"] > patience:
                return how


async def main():
    """Runs until it is interrupted."""
    if len(sys.argv) < 4:
        print(__doc__)
        sys.exit("--help" not in sys.argv)
    proxy = FaultProxy(int(sys.argv[2]), sys.argv[3:])
    await proxy.start(int(sys.argv[1]))
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (KeyboardInterrupt, ValueError) as end:
        sys.exit(str(end))
