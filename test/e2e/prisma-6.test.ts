import { describeMainJob } from './main-job.js'

describeMainJob('prisma-6')
