// Loaded into each Node.js process that a test starts. Prisma compiles its WebAssembly twice, fast and then better, which pays for itself
// after minutes. A process of a test has ended by then, and would spend half of its time on it. It calls a small part of the functions:
// only these are validated. The optimizing compiler of JavaScript begins seven times as late here, if this Node.js can be told so; but not
// for npm, which unpacks tarballs for seconds.
//
// Node.js has its own modules compiled in advance, but not for such settings: they wait until most of these modules are loaded.
const { setFlagsFromString } = require('node:v8')

const isNpm = /\bnp[mx]\b/.test(process.argv[1] ?? '')
const { compile, Module } = WebAssembly

function compileOnce() {
  setFlagsFromString('--liftoff-only')
  setFlagsFromString('--wasm-lazy-validation')
  if (process.version.startsWith('v20.') && !isNpm) setFlagsFromString('--interrupt-budget=1000000')
}

setTimeout(compileOnce, 100).unref()
WebAssembly.compile = (...args) => {
  compileOnce()
  return compile(...args)
}
WebAssembly.Module = new Proxy(Module, {
  construct(target, args) {
    compileOnce()
    return new target(...args)
  },
})

// Without it, as in Node.js 20, pg looks whether this is Cloudflare in a way that loads the whole client for HTTP.
globalThis.navigator ??= { userAgent: 'Node.js' }
