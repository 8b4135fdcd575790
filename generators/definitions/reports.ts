import { databaseSchema, factories, files, migrations, sharedContext, specs } from './emissions.js'
import type { Generator, GeneratorAnswers } from './generator.js'
import { freeName, modelNames, snakeCase } from './names.js'

/** Reports that the worker builds: one table for all, and a class for each. */
export const reports: Generator = {
  name: 'reports',
  description: 'Reports that the worker builds, a class for each',
  prompts: [{ type: 'input', name: 'name', message: 'Names of the reports, separated by spaces', default: '' }],

  owner: (answers) => `reports ${model(answers)}`,

  emissions(host, answers) {
    const { dir } = answers
    const owner = this.owner(answers)
    const names = modelNames(model(answers))
    const context = { ...sharedContext(host, answers), ...names }
    const each = answers.names.map((name) => ({ ...context, className: name, report: snakeCase(name) }))
    return [
      ...files(owner, dir, context, ['reports/async/__file__.ts']),
      ...factories(host, owner, dir, context, ['reports/async/__file__.factory.ts']),
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
        databaseSchema: databaseSchema(host),
        ifTaken: `Choose another name for the model of the reports: npx async-gen ${['reports', ...answers.names].join(' ')} --model ${freeName(host, ['SalesReport', 'BackgroundReport', `Async${names.model}`])}`,
      },
      ...migrations(owner, context, [{ name: `create_${names.table}`, template: 'reports/migrations/001_create.sql' }]),
    ]
  },

  firstEdit({ dir, names }) {
    return names[0]
      ? `Implement build() in ${dir}/reports/${snakeCase(names[0])}.ts`
      : 'Add a report: npx async-gen reports MonthlySales'
  },
}

function model(answers: GeneratorAnswers): string {
  return answers.model ?? 'Report'
}
