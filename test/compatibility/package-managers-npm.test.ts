import { describeFirstMinute } from './first-minute.js'

describeFirstMinute('npm')
