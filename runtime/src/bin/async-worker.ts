#!/usr/bin/env node
// The command's name in 0.1.0, which scripts and pm2 configurations of that time still use.
import './async-gen-worker.js'
