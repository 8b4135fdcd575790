import { vi } from 'vitest'

// The process has run another test file. Packages stay loaded; the modules of this repository, which are bound to a database, do not.
vi.resetModules()
await import('./setup.js')
