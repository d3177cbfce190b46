type Update<T> = T | ((before: T) => T);
type Effect = () => void | (() => void);
export function useState<T>(initial: T | (() => T)): [T, (value: Update<T>) => void];
export function useRef<T>(initial: T): { current: T };
export function useEffect(effect: Effect, dependencies?: readonly unknown[]): void;
export function useLayoutEffect(effect: Effect, dependencies?: readonly unknown[]): void;
export function useMemo<T>(make: () => T, dependencies: readonly unknown[]): T;
export function useCallback<T>(callback: T, dependencies: readonly unknown[]): T;
