import { describeMainJob } from '../support/main-job.js'

describeMainJob('folder')
