/** One process or thread of a race: `node racer.js STORE`. Answers how many calls it made. */

import cluster from "node:cluster";
import { isMainThread, parentPort, workerData } from "node:worker_threads";

import { task } from "outlay";

import { race } from "./race.js";

const store: string = isMainThread ? (process.argv[2] ?? process.env.RACE_STORE ?? "") : workerData;

task("race", { tags: { team: "blue" }, store }, (t) => race(t, 8)).then((made) => {
  if (!isMainThread) parentPort?.postMessage(made);
  else if (cluster.isWorker) process.send?.(made, undefined, {}, () => process.exit());
  else console.log(made);
});
