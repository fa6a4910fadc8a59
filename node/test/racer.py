"""The same in Python: ``python racer.py STORE``."""

import sys
import threading
import time

import outlay

outlay.configure(prices={"race-model": {"input": 0, "output": 10}})
made = []


def worker(task: outlay.Task) -> None:
    while True:
        try:
            call = task.reserve(model="race-model", input_tokens=0, max_output_tokens=5000)
        except outlay.BudgetExceeded as refused:
            if not refused.contended:
                return
            time.sleep(0.002)
            continue
        time.sleep(0.005)
        call.settle(outlay.Usage(0, 5000))
        made.append(1)


with outlay.task("race", tags={"team": "blue"}, store=sys.argv[1]) as task:
    threads = [threading.Thread(target=worker, args=(task,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(len(made))
