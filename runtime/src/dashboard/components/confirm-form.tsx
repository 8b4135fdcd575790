import type { ComponentChildren } from 'preact'
import { printable } from '../../core/printable.js'
import { Hidden } from './hidden.js'

interface ConfirmFormProps {
  title: string
  meaning: string
  /** Where the form is sent. */
  action: string
  fields: Record<string, string | undefined>
  /** On the button. */
  label: string
  isDangerous?: boolean
  isDisabled?: boolean
  /** The address of the page before. */
  back: string
  children?: ComponentChildren
}

/** Asks before something is changed. It works without script. */
export function ConfirmForm({
  title,
  meaning,
  action,
  fields,
  label,
  isDangerous = false,
  isDisabled = false,
  back,
  children,
}: ConfirmFormProps) {
  return (
    <div class="confirm">
      <h1>{printable(title, 300)}</h1>
      <p>{meaning}</p>
      <form method="post" action={action}>
        <Hidden fields={fields} />
        {children}
        <p class="buttons">
          <button type="submit" class={isDangerous ? 'danger filled' : 'primary'} disabled={isDisabled}>
            {label}
          </button>
          <a class="button" href={back}>
            Back
          </a>
        </p>
      </form>
    </div>
  )
}
