import { Attempt } from '../async/attempt.js'

const { status, numAttempts, result, errors } = (await Attempt.find(Number(process.argv[2])))!
console.log(JSON.stringify({ status, numAttempts, result, errors: errors.map(({ message }) => message) }))
process.exit()
