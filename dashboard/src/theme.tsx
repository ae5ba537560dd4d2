import { useEffect, useState } from 'react';

type Theme = 'light' | 'dark';
const place = 'energex-theme';

function stored(): Theme {
  const saved = localStorage.getItem(place);
  if (saved === 'light' || saved === 'dark') return saved;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

/** Light or dark: as the system has it, until somebody chooses. */
export function ThemeButton() {
  const [theme, setTheme] = useState(stored);
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  const other: Theme = theme === 'dark' ? 'light' : 'dark';
  const choose = (): void => {
    localStorage.setItem(place, other);
    setTheme(other);
    // Charts take their colours when they are made.
    location.reload();
  };
  return (
    <button type="button" onClick={choose} aria-label={`Use the ${other} theme`}>
      {theme === 'dark' ? '☀' : '☾'}
    </button>
  );
}
