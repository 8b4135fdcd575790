import { join } from 'node:path/posix'
import type { Emission } from '../changes/stage.js'
import { UsageError } from '../host/errors.js'
import { isFolder } from '../host/files.js'
import type { Host } from '../host/inspect.js'
import { environmentVariable, files, sharedContext, specifier } from './emissions.js'
import {
  FRAMEWORKS,
  type Framework,
  type GeneratedClasses,
  type Generator,
  type GeneratorAnswers,
} from './generator.js'
import { snakeCase } from './names.js'

/** How the dashboard is mounted: the package that shows that a host uses the framework, and the user's step. */
const MOUNTS: Record<Framework, { package?: string; mount: string }> = {
  nestjs: { package: '@nestjs/core', mount: 'In main.ts, before app.listen(): mountDashboard(app)' },
  next: { package: 'next', mount: 'The page is /async' },
  fastify: { package: 'fastify', mount: 'Register it: app.register(dashboardPlugin)' },
  hono: { package: 'hono', mount: "Mount it: app.route('/async', dashboardApp)" },
  express: { package: 'express', mount: 'Mount it, before the handler of errors: mountDashboard(app)' },
  http: { mount: 'Pass requests under /async to dashboardListener' },
}

/** A web page over attempts, toasts, reports and workers, mounted in the host's application. */
export const dashboard: Generator = {
  name: 'dashboard',
  description: 'A web page over attempts, toasts, reports and workers, in your application',
  prompts: [{ type: 'list', name: 'name', message: 'What does your application use?', choices: [...FRAMEWORKS] }],

  owner: () => 'dashboard',

  emissions(host, answers) {
    const { dir } = answers
    const owner = this.owner(answers)
    const framework = frameworkOf(answers)
    const context = {
      ...sharedContext(host, answers),
      ...Object.fromEntries(FRAMEWORKS.map((name) => [name, name === framework])),
      mount: framework === 'express' || framework === 'nestjs',
      path: framework === 'express' || framework === 'nestjs' || framework === 'fastify',
      environment: environmentVariable('NODE_ENV', host.modules),
      ...classesContext(answers.generated, host.modules.ext),
    }
    return [
      ...files(owner, dir, context, ['dashboard/async/dashboard.ts']),
      ...(framework === 'next' ? [nextRoute(host, dir, owner)] : []),
    ]
  },

  firstEdit(answers, writes) {
    const path = `${answers.dir}/dashboard.ts`
    const framework = frameworkOf(answers)
    const { mount } = MOUNTS[framework]
    const written = writes.find((write) => write.path === path)
    const isNew = !written || written.before === null
    const rule = isNew || isClosed(written.after ?? '') ? `Say in ${path} who may use the dashboard: authorize(). ` : ''
    return `${rule}${mount}${isNew || framework === 'next' ? '' : ' (if you have not yet)'}`
  },
}

/** Whether `authorize` is as it was emitted, and lets nobody in. */
function isClosed(text: string): boolean {
  return /\bauthorize\(\w+: Request\) \{(\s*return false|[^}]*=== .development. && isLocal);?\s*\}/.test(text)
}

/** The classes that the text of an emitted dashboard does not name. */
export function classesMissingIn(text: string, { attempts, reports }: GeneratedClasses): string[] {
  return [...attempts, ...reports].filter((name) => !new RegExp(`\\b${name}\\b`).test(text))
}

/** A newer version may have recorded a framework that this one does not know. */
function frameworkOf({ framework }: GeneratorAnswers): Framework {
  return FRAMEWORKS.find((known) => known === framework) ?? 'http'
}

/** @throws UsageError FRAMEWORK_UNKNOWN */
export function parseFramework(given: string): Framework {
  const known = FRAMEWORKS.find((framework) => framework === given)
  if (known) return known
  throw new UsageError({
    code: 'FRAMEWORK_UNKNOWN',
    message: `async-gen cannot mount the dashboard in "${given}".`,
    remedy: `Choose one of these: ${FRAMEWORKS.join(', ')}. For another framework, choose http, and adapt the code`,
  })
}

/**
 * The framework that package.json names; `http` if it names none. NestJS comes with others.
 * @throws UsageError FRAMEWORK_AMBIGUOUS
 */
export function detectFramework({ packageJson: { packages } }: Host): Framework {
  const found = FRAMEWORKS.filter((name) => packages.includes(MOUNTS[name].package ?? ''))
  if (found.length < 2 || found[0] === 'nestjs') return found[0] ?? 'http'
  throw new UsageError({
    code: 'FRAMEWORK_AMBIGUOUS',
    message: `package.json names several frameworks: ${found.join(', ')}.`,
    remedy: `Name the one that shows the dashboard: npx async-gen dashboard --framework ${found[0]}`,
  })
}

/** The classes that the dashboard lists, as code. */
function classesContext({ attempts, reports }: GeneratedClasses, ext: string) {
  const imports = (names: string[], folder: string) =>
    names.map((name) => `import { ${name} } from '${folder}/${snakeCase(name)}${ext}'`).join('\n')
  return {
    attempts: attempts.join(', '),
    attemptImports: imports(attempts, '.'),
    reports: reports.join(', '),
    reportImports: imports(reports, './reports'),
  }
}

/** The page of Next.js: its path in app/ is the path of the dashboard. */
function nextRoute(host: Host, dir: string, owner: string): Emission {
  const app = ['src/app', 'app'].find((folder) => isFolder(`${host.root}/${folder}`)) ?? (host.src ? 'src/app' : 'app')
  const folder = join(app, 'async/[[...path]]')
  return {
    kind: 'file',
    owner,
    template: 'dashboard/next/route.ts',
    context: { dashboard: specifier(`${dir}/dashboard.ts`, folder, host.modules.ext) },
    path: `${folder}/route.ts`,
    shared: false,
  }
}
