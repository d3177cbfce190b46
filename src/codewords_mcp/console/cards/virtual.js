// Lists in a card, which is narrower than a page: its rows are tall for fingers only.
export { VirtualList } from "../parts/virtual.js";

export const isPhone = () => matchMedia("(max-width: 48rem) and (pointer: coarse)").matches;

export const isNarrow = () => matchMedia("(max-width: 34rem)").matches;
