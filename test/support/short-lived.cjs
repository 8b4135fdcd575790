// Loaded into each Node.js process that a test starts. Prisma compiles its WebAssembly twice, fast and then better, which pays for itself
// after minutes. A process of a test has ended by then, and would spend half of its time on it.
require('node:v8').setFlagsFromString('--liftoff-only')
