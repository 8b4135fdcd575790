// Loaded into each Node.js process that a test starts. Prisma compiles its WebAssembly twice, fast and then better, which pays for itself
// after minutes. A process of a test has ended by then, and would spend half of its time on it. The same holds for the optimizing compiler of
// JavaScript, which begins seven times as late here, if this Node.js can be told so; but not for npm, which unpacks tarballs for seconds.
const { setFlagsFromString } = require('node:v8')

setFlagsFromString('--liftoff-only')
const isNpm = /\bnp[mx]\b/.test(process.argv[1] ?? '')
if (process.version.startsWith('v20.') && !isNpm) setFlagsFromString('--interrupt-budget=1000000')
