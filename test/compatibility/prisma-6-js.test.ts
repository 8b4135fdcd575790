import { describeMainJob } from '../support/main-job.js'

describeMainJob('prisma-6-js')
