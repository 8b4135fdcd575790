import { breakfast } from '../async/toasts.js'
import { prisma } from '../db.js'
import { scene } from './scene.js'

// breakfast <oat>: what a reader gets, at once
await scene(async () => breakfast(await prisma.oat.findUniqueOrThrow({ where: { id: Number(process.argv[2]) } })))
