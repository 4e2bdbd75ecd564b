import type { ButtonHTMLAttributes } from "react";

const LOOKS = {
  primary: "bg-accent-deep text-white hover:bg-accent-deep/85 border-transparent",
  secondary: "bg-raised text-ink hover:bg-hover border-line-strong",
  quiet: "bg-transparent text-dim hover:text-ink hover:bg-hover border-transparent",
};

export type ButtonLook = keyof typeof LOOKS;

/** The classes of a button, for links that look like one. */
export function buttonClass(look: ButtonLook = "secondary"): string {
  return `inline-flex h-9 shrink-0 items-center justify-center gap-2 rounded-lg border px-3.5 text-sm font-medium whitespace-nowrap transition-colors disabled:cursor-not-allowed disabled:opacity-50 ${LOOKS[look]}`;
}

export function Button({
  look = "secondary",
  className = "",
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { look?: ButtonLook }) {
  return <button type="button" className={`${buttonClass(look)} ${className}`} {...rest} />;
}
