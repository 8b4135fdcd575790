import { describeFirstMinute } from './first-minute.js'

describeFirstMinute('pnpm')
