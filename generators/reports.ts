import { files, sharedContext, specs } from './emissions.js'
import type { Answers, Generator } from './generator.js'
import { UsageError } from './host/errors.js'
import { className, modelNames, snakeCase } from './names.js'

const MODEL = 'Report'

/** Reports built in the background: one table, one class each. */
export const reports: Generator = {
  name: 'reports',
  description: 'Reports built in the background, a class each',
  prompts: [{ type: 'input', name: 'name', message: 'Names of the reports, separated by spaces', default: '' }],

  owner: () => `reports ${MODEL}`,

  emissions(host, answers) {
    const { dir } = answers
    const owner = this.owner(answers)
    const names = modelNames(MODEL)
    const context = { ...sharedContext(host, answers), ...names }
    const each = reportClasses(answers).map((name) => ({ ...context, className: name, report: snakeCase(name) }))
    return [
      ...files(owner, dir, context, ['reports/async/__file__.ts', 'reports/async/__file__.factory.ts']),
      ...each.flatMap((report) => files(owner, dir, report, ['reports/async/reports/__report__.ts'])),
      ...files(owner, dir, context, ['reports/async/tasks/refresh___file__.ts']),
      ...specs(host, owner, dir, context, ['reports/async/test/__file__.test.ts']),
      ...each.flatMap((report) => specs(host, owner, dir, report, ['reports/async/test/__report__.test.ts'])),
      {
        kind: 'fragment',
        owner,
        name: names.table,
        template: 'reports/schema.prisma',
        context,
        ifTaken: 'Rename yours (`@@map` and `@map` keep its table as it is), then run the command again.',
      },
      { kind: 'migration', owner, name: `create_${names.table}`, template: 'reports/migration.sql', context },
    ]
  },

  firstEdit(answers) {
    const [first] = reportClasses(answers)
    return first
      ? `Write build() in ${answers.dir}/reports/${snakeCase(first)}.ts`
      : 'Add a report: npx async-gen reports MonthlySales'
  },
}

function reportClasses({ names }: Answers): string[] {
  const classes = [...new Set(names.map(className))]
  if (classes.includes(MODEL)) {
    throw new UsageError({
      code: 'NAME_RESERVED',
      message: `${MODEL} is the class that reports extend.`,
      remedy: 'Say what it reports: npx async-gen reports MonthlySales',
    })
  }
  return classes
}
