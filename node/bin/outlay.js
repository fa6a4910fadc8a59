#!/usr/bin/env node
// The command line.

const { native } = require("../dist/native.js");

const code = native.runCommand(process.argv.slice(2));
process.exitCode = typeof code === "number" ? code : 3;
