export type Child = unknown;
export interface VNode { type: unknown; props: Record<string, unknown>; }
export function h(type: unknown, props: unknown, ...children: unknown[]): VNode;
export function render(child: unknown, parent: Element | null): void;
export function Fragment(props: unknown): VNode;
