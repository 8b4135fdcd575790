import { type Node, type SourceModules, walk } from './source-modules.js'

/** The value of an expression in the host's sources, as far as it concerns a PrismaClient. */
export interface ClientValue {
  /** `promise`: of a client. `holder`: an object or a class with a client in a member. `unclear`: possibly a client. */
  kind: 'client' | 'class' | 'factory' | 'promise' | 'holder' | 'unclear'
  /** Where the value is made: `src/db.ts:120`. It is equal for two names of the same value. */
  origin: string
  /** The expression that gives a client, with `$` for the name: `new $()`, `$()`, `$.client`. Null if it requires arguments. */
  access: string | null
  /** The export of another module that the value comes from: `src/make.ts#makeClient`. */
  imported?: string
}

export interface ModuleExport {
  name: string
  value: ClientValue | null
}

interface Binding {
  values: { node: Node; scope: Scope }[]
  /** Whether its type annotation is PrismaClient. */
  typed: boolean
  at: number
  imported?: { specifier: string; name: string }
}

class Scope {
  readonly names = new Map<string, Binding>()
  readonly path: string
  readonly parent: Scope | null

  constructor(path: string, parent: Scope | null) {
    this.path = path
    this.parent = parent
  }

  find(name: string): Binding | undefined {
    return this.names.get(name) ?? this.parent?.find(name)
  }

  get module(): Scope {
    return this.parent?.module ?? this
  }
}

const FUNCTION = /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/
const CLASS = /^(ClassDeclaration|ClassExpression)$/
const GLOBAL = /^(global|globalThis|window|self)$/

/**
 * Finds PrismaClients in the sources of a host: `new PrismaClient`, classes that extend it, values of that type, and values
 * derived from these by assignment, by `$extends`, or by a function or class of the same or an imported module. It only
 * parses the sources, and never runs them.
 */
export class ClientValues {
  readonly #modules: SourceModules
  readonly #scopes = new Map<string, Scope>()
  readonly #functions = new WeakMap<Node, Scope>()
  /** The nodes and bindings in evaluation, to stop at a value that depends on itself. */
  readonly #evaluating = new Set<unknown>()
  /** The imported classes and functions that make the clients of the export in evaluation. */
  #makers: string[] = []
  /** The exports with which another module makes a client that it exports. */
  readonly used = new Set<string>()

  constructor(modules: SourceModules) {
    this.#modules = modules
  }

  /** What a module exports, without what it re-exports from another module. */
  exportsOf(path: string): ModuleExport[] {
    const scope = this.#scopeOf(path)
    const exported: ModuleExport[] = []
    const add = (name: string, node: Node) => exported.push({ name, value: this.#valueOfExport(node, scope) })
    for (const statement of this.#modules.program(path).body as Node[]) {
      const { declaration } = statement
      if (statement.exportKind === 'type') continue
      if (statement.type === 'ExportDefaultDeclaration') add('default', declaration)
      if (statement.type === 'TSExportAssignment') add('default', statement.expression)
      if (statement.type !== 'ExportNamedDeclaration' || statement.source) continue
      for (const { id } of declaration?.declarations ?? (declaration?.id ? [declaration] : []))
        if (id.type === 'Identifier') add(id.name, id)
      for (const { local, exported: as } of statement.specifiers) add(as.name ?? as.value, local)
    }
    return [...exported, ...this.#commonJsExports(scope)]
  }

  /** The specifiers of the modules that a module imports at run time. */
  importsOf(path: string): string[] {
    return (this.#modules.program(path).body as Node[]).flatMap((statement) => {
      const { source, importKind, exportKind, specifiers = [] } = statement
      const onlyTypes =
        specifiers.length > 0 &&
        specifiers.every((each: Node) => each.importKind === 'type' || each.exportKind === 'type')
      return source && importKind !== 'type' && exportKind !== 'type' && !onlyTypes ? [source.value as string] : []
    })
  }

  /** Whether a module makes a client, exported or not. */
  makesClient(path: string): boolean {
    let makes = false
    walk(this.#modules.program(path), (node) => {
      if (node.type === 'NewExpression') makes ||= this.#isClientClass(node.callee, this.#scopeOf(path))
      return !makes
    })
    return makes
  }

  /** The specifier from which a module imports the class PrismaClient: `./generated/client.js`. */
  clientClassOf(path: string): string | undefined {
    const bindings = [...this.#scopeOf(path).names.values()]
    return bindings.find(({ imported }) => imported?.name === 'PrismaClient')?.imported?.specifier
  }

  /** Records as used what makes an exported client. What makes a client for internal use only does not count. */
  #valueOfExport(node: Node, scope: Scope): ClientValue | null {
    const outer = this.#makers
    this.#makers = []
    const value = this.#valueOf(node, scope)
    if (value?.kind === 'client') for (const maker of this.#makers) this.used.add(maker)
    this.#makers = outer
    return value
  }

  #commonJsExports(scope: Scope): ModuleExport[] {
    const whole = scope.names.get('module.exports')?.values.at(-1)
    const properties = whole?.node.type === 'ObjectExpression' ? propertiesOf(whole.node) : []
    return [
      ...(whole && properties.length === 0
        ? [{ name: 'default', value: this.#valueOfExport(whole.node, whole.scope) }]
        : []),
      ...properties.map(({ name, value }) => ({ name, value: this.#valueOfExport(value, whole!.scope) })),
      ...[...scope.names.keys()]
        .filter((key) => /^module\.exports\.[^.]+$/.test(key))
        .map((key) => ({
          name: key.slice('module.exports.'.length),
          value: this.#valueOfBinding(scope.names.get(key)!),
        })),
    ]
  }

  #valueOf(node: Node | null | undefined, scope: Scope): ClientValue | null {
    if (!node || this.#evaluating.has(node)) return null
    this.#evaluating.add(node)
    try {
      return this.#evaluate(node, scope)
    } finally {
      this.#evaluating.delete(node)
    }
  }

  #evaluate(node: Node, scope: Scope): ClientValue | null {
    const client: ClientValue = { kind: 'client', origin: `${scope.path}:${node.start}`, access: '$' }
    const isClient = (each: Node) => this.#valueOf(each, scope)?.kind === 'client'
    if (FUNCTION.test(node.type)) return this.#valueOfFunction(node, scope)
    if (CLASS.test(node.type)) return this.#valueOfClass(node, scope)
    switch (node.type) {
      case 'TSAsExpression':
      case 'TSTypeAssertion':
      case 'TSSatisfiesExpression':
        return this.#isClientType(node.typeAnnotation, scope)
          ? (this.#valueOfClient(node.expression, scope) ?? client)
          : this.#valueOf(node.expression, scope)
      case 'TSNonNullExpression':
      case 'ParenthesizedExpression':
      case 'ChainExpression':
      case 'TSInstantiationExpression':
        return this.#valueOf(node.expression, scope)
      case 'AwaitExpression': {
        const value = this.#valueOf(node.argument, scope)
        return value?.kind === 'promise' ? client : value
      }
      case 'Identifier': {
        const binding = scope.find(node.name)
        return binding ? this.#valueOfBinding(binding, scope) : null
      }
      case 'MemberExpression':
        return this.#valueOfMember(node, scope)
      case 'LogicalExpression':
        return isClient(node.left) || isClient(node.right) ? client : null
      case 'ConditionalExpression':
        return isClient(node.consequent) || isClient(node.alternate) ? client : null
      case 'AssignmentExpression':
        return this.#valueOf(node.right, scope)
      case 'SequenceExpression':
        return this.#valueOf(node.expressions.at(-1), scope)
      case 'NewExpression': {
        if (this.#isClientClass(node.callee, scope)) return client
        if (node.callee.name === 'Proxy' && isClient(node.arguments[0])) return client
        const made = this.#valueOf(node.callee, scope)
        if (made?.kind === 'class') return this.#madeWith(made, client)
        return node.arguments.some(isClient) ? { ...client, kind: 'unclear' } : null
      }
      case 'CallExpression':
        return this.#valueOfCall(node, scope, client)
      case 'ObjectExpression': {
        const held = propertiesOf(node).find(({ value }) => isClient(value))
        return held ? { ...client, kind: 'holder', access: `$.${held.name}` } : null
      }
    }
    return null
  }

  #valueOfClient(node: Node, scope: Scope): ClientValue | null {
    const value = this.#valueOf(node, scope)
    return value?.kind === 'client' ? value : null
  }

  #valueOfBinding(binding: Binding, scope?: Scope): ClientValue | null {
    if (this.#evaluating.has(binding)) return null
    this.#evaluating.add(binding)
    try {
      const { imported, values, typed } = binding
      const found = values.map((each) => this.#valueOf(each.node, each.scope)).filter((value) => value !== null)
      const best =
        found.find(({ kind }) => kind === 'client') ?? found.find(({ kind }) => kind !== 'unclear') ?? found[0]
      if (best && !(typed && best.kind === 'unclear')) return best
      if (typed) return { kind: 'client', origin: `${scope?.path}:${binding.at}`, access: '$' }
      return imported && scope ? this.#valueOfImport(imported, scope.path) : null
    } finally {
      this.#evaluating.delete(binding)
    }
  }

  #madeWith({ imported }: ClientValue, client: ClientValue): ClientValue {
    if (imported) this.#makers.push(imported)
    return client
  }

  /** An imported client belongs to its own module. An imported class or function can make a client here. */
  #valueOfImport({ specifier, name }: { specifier: string; name: string }, from: string): ClientValue | null {
    const path = this.#modules.resolve(specifier, from)
    if (!path || !this.#modules.text(path).includes('PrismaClient')) return null
    const value = this.exportsOf(path).find((each) => each.name === name)?.value
    if (!value || value.kind === 'client') return null
    return { ...value, imported: `${path}#${name}` }
  }

  #valueOfMember(node: Node, scope: Scope): ClientValue | null {
    const key = memberKey(node, scope)
    const assigned = key && scope.module.names.get(key)
    if (assigned) return this.#valueOfBinding(assigned, scope)
    const name = propertyName(node)
    const owner = node.object.type === 'Identifier' ? scope.find(node.object.name)?.values[0] : undefined
    const member = owner && name ? memberNamed(owner.node, name) : undefined
    if (member) return this.#valueOf(member, owner!.scope)
    const isQuery = this.#valueOf(node.object, scope) !== null
    return isQuery ? null : { kind: 'unclear', origin: `${scope.path}:${node.start}`, access: null }
  }

  #valueOfCall(node: Node, scope: Scope, client: ClientValue): ClientValue | null {
    const { callee } = node
    if (callee.type === 'MemberExpression' && propertyName(callee) === '$extends')
      return this.#valueOf(callee.object, scope)?.kind === 'client' ? client : null
    const called = this.#valueOf(callee, scope)
    if (called?.kind === 'factory') return this.#madeWith(called, client)
    if (called?.kind === 'promise') return { ...client, kind: 'promise' }
    // `remember(() => new PrismaClient())` returns what its argument returns. Other calls with a client are unclear.
    const given = node.arguments.map((argument: Node) => this.#valueOf(argument, scope))
    if (given.some((value: ClientValue | null) => value?.kind === 'factory')) return client
    const wraps = given.some((value: ClientValue | null) => value?.kind === 'client')
    return wraps ? { ...client, kind: 'unclear' } : null
  }

  #valueOfFunction(node: Node, outer: Scope): ClientValue | null {
    const scope = this.#functions.get(node) ?? outer
    const returned = this.#returned(node, scope)
    if (returned?.kind !== 'client' && returned?.kind !== 'promise') return null
    const isAsync = node.async || returned.kind === 'promise'
    const access = isAsync || wantsArguments(node) ? null : '$()'
    return { kind: isAsync ? 'promise' : 'factory', origin: `${outer.path}:${node.start}`, access }
  }

  #returned(node: Node, scope: Scope): ClientValue | null {
    if (node.returnType && this.#isClientType(node.returnType, scope))
      return { kind: 'client', origin: `${scope.path}:${node.start}`, access: '$' }
    if (node.body?.type !== 'BlockStatement') return this.#valueOf(node.body, scope)
    let found: ClientValue | null = null
    walk(node.body, (inner) => {
      if (FUNCTION.test(inner.type) || CLASS.test(inner.type)) return false
      if (inner.type === 'ReturnStatement') found ??= this.#valueOf(inner.argument, scope)
      return found === null
    })
    return found
  }

  /** A class that extends PrismaClient makes a client. Another class may hold one in a public member. */
  #valueOfClass(node: Node, scope: Scope): ClientValue | null {
    const value: ClientValue = { kind: 'class', origin: `${scope.path}:${node.start}`, access: null }
    const members = node.body.body as Node[]
    const own = members.find(({ kind }) => kind === 'constructor')
    const isPlain = !own || !wantsArguments(own.value)
    const parent = node.superClass && this.#valueOf(node.superClass, scope)
    if (node.superClass && (this.#isClientClass(node.superClass, scope) || parent?.kind === 'class'))
      return { ...value, access: isPlain ? 'new $()' : null }
    for (const member of members) {
      const name = member.key?.name
      if (!name || member.accessibility === 'private' || member.accessibility === 'protected') continue
      const held = this.#valueOfMemberOfClass(member, scope)
      if (!held) continue
      const owner = member.static ? '$' : isPlain ? 'new $()' : null
      const called = held.kind === 'factory' && member.kind === 'method' ? '()' : ''
      return { ...value, kind: 'holder', access: owner && held.access && `${owner}.${name}${called}` }
    }
    return null
  }

  #valueOfMemberOfClass(member: Node, scope: Scope): ClientValue | null {
    if (member.type === 'PropertyDefinition') {
      const typed = member.typeAnnotation && this.#isClientType(member.typeAnnotation, scope)
      const value = this.#valueOf(member.value, scope)
      if (value?.kind === 'client') return value
      return typed ? { kind: 'client', origin: `${scope.path}:${member.start}`, access: '$' } : null
    }
    if (member.type !== 'MethodDefinition' || member.kind === 'constructor' || member.kind === 'set') return null
    const value = this.#valueOf(member.value, scope)
    return value?.kind === 'factory' ? value : null
  }

  #isClientClass(node: Node, scope: Scope): boolean {
    if (node.type === 'MemberExpression') return propertyName(node) === 'PrismaClient'
    if (node.type.startsWith('TS') && node.expression) return this.#isClientClass(node.expression, scope)
    return node.type === 'Identifier' && this.#isClientName(node.name, scope)
  }

  #isClientName(name: string, scope: Scope): boolean {
    return name === 'PrismaClient' || scope.find(name)?.imported?.name === 'PrismaClient'
  }

  /** `PrismaClient`, `Prisma.PrismaClient`, `PrismaClient | undefined`. */
  #isClientType(type: Node, scope: Scope): boolean {
    if (type.type === 'TSTypeAnnotation') return this.#isClientType(type.typeAnnotation, scope)
    if (type.type === 'TSUnionType') return type.types.some((each: Node) => this.#isClientType(each, scope))
    if (type.type !== 'TSTypeReference') return false
    const { typeName } = type
    return typeName.type === 'Identifier'
      ? this.#isClientName(typeName.name, scope)
      : typeName.right?.name === 'PrismaClient'
  }

  #scopeOf(path: string): Scope {
    const known = this.#scopes.get(path)
    if (known) return known
    const scope = new Scope(path, null)
    this.#scopes.set(path, scope)
    const assignments: { node: Node; scope: Scope }[] = []
    this.#declare(this.#modules.program(path).body, scope, assignments)
    for (const { node, scope: where } of assignments) assign(node, where)
    return scope
  }

  /** Declares all names under a node, each in the scope of its function. */
  #declare(node: unknown, scope: Scope, assignments: { node: Node; scope: Scope }[]) {
    walk(node, (inner) => {
      switch (inner.type) {
        case 'ImportDeclaration':
          for (const each of inner.specifiers) {
            const name = each.type === 'ImportSpecifier' ? (each.imported.name ?? each.imported.value) : 'default'
            const imported = { specifier: inner.source.value, name }
            scope.names.set(each.local.name, { values: [], typed: false, at: each.start, imported })
          }
          return false
        case 'VariableDeclarator':
          if (inner.id.type === 'Identifier') {
            const typed = Boolean(inner.id.typeAnnotation && this.#isClientType(inner.id.typeAnnotation, scope))
            const values = inner.init ? [{ node: inner.init, scope }] : []
            scope.names.set(inner.id.name, { values, typed, at: inner.start })
          }
          break
        case 'AssignmentExpression':
          assignments.push({ node: inner, scope })
          break
        case 'ClassDeclaration':
          if (inner.id)
            scope.names.set(inner.id.name, { values: [{ node: inner, scope }], typed: false, at: inner.start })
          break
      }
      if (!FUNCTION.test(inner.type)) return true
      if (inner.type === 'FunctionDeclaration' && inner.id)
        scope.names.set(inner.id.name, { values: [{ node: inner, scope }], typed: false, at: inner.start })
      const own = new Scope(scope.path, scope)
      this.#functions.set(inner, own)
      this.#declare([inner.params, inner.body], own, assignments)
      return false
    })
  }
}

/** Adds a value to the name in `prisma = …`, `global.prisma = …` or `module.exports.prisma = …`. */
function assign({ left, right }: Node, scope: Scope) {
  const value = { node: right, scope }
  if (left.type === 'Identifier') {
    scope.find(left.name)?.values.push(value)
    return
  }
  const key = memberKey(left, scope)
  if (!key) return
  const { names } = scope.module
  const known = names.get(key)
  if (known) known.values.push(value)
  else names.set(key, { values: [value], typed: false, at: left.start })
}

/** `globalThis.prisma` for `(global as any).prisma`, and for a property of a variable that holds the global object. */
function memberKey(node: Node, scope: Scope): string | undefined {
  const bare = unwrapped(node)
  if (bare.type === 'Identifier') {
    if (GLOBAL.test(bare.name)) return 'globalThis'
    if (bare.name === 'exports') return 'module.exports'
    const [alias] = scope.find(bare.name)?.values ?? []
    const isGlobal = alias && unwrapped(alias.node).type === 'Identifier' && GLOBAL.test(unwrapped(alias.node).name)
    return isGlobal ? 'globalThis' : bare.name
  }
  if (bare.type !== 'MemberExpression') return undefined
  const [owner, name] = [memberKey(bare.object, scope), propertyName(bare)]
  return owner && name ? `${owner}.${name}` : undefined
}

function unwrapped(node: Node): Node {
  return /^TS|^(Parenthesized|Chain)Expression$/.test(node.type) && node.expression ? unwrapped(node.expression) : node
}

function propertyName({ property, computed }: Node): string | undefined {
  if (!computed) return property.name
  return property.type === 'Literal' && typeof property.value === 'string' ? property.value : undefined
}

function propertiesOf(object: Node): { name: string; value: Node }[] {
  return object.properties.flatMap(({ type, key, value, computed }: Node) =>
    type === 'Property' && !computed && (key.name ?? key.value) ? [{ name: String(key.name ?? key.value), value }] : [],
  )
}

/** A property of an object literal, or a static member of a class. */
function memberNamed(owner: Node, name: string): Node | undefined {
  if (owner.type === 'ObjectExpression') return propertiesOf(owner).find((each) => each.name === name)?.value
  if (!CLASS.test(owner.type)) return undefined
  return owner.body.body.find((member: Node) => member.static && member.key?.name === name)?.value
}

function wantsArguments({ params }: Node): boolean {
  return params.some((parameter: Node) => {
    const { type, optional } = parameter.type === 'TSParameterProperty' ? parameter.parameter : parameter
    return type !== 'AssignmentPattern' && type !== 'RestElement' && !optional
  })
}
