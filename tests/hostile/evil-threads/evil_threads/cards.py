"""Waits for a thread that asks the registry, as it is imported and in its hook."""

import threading
from concurrent.futures import ThreadPoolExecutor

import kernreg_core as kr
from kernreg_core import Card, hookimpl

SEEN = []
worker = threading.Thread(target=lambda: SEEN.append(kr.find().names))
worker.start()
worker.join()


@hookimpl
def kernreg_cards():
    """Return the card, after a thread has asked again."""
    with ThreadPoolExecutor(1) as pool:
        SEEN.append(pool.submit(kr.names).result())
    return [Card(name="evil.threads", kind="kernel", summary="Asks.", domain="vectors")]
