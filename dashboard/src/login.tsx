import { type FormEvent, useState } from 'react';
import { api, type Session } from './api.ts';

/** Asks for the operator's secret. */
export function Login({ onLogin }: { readonly onLogin: (session: Session) => void }) {
  const [secret, setSecret] = useState('');
  const [failure, setFailure] = useState<string>();
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    api
      .logIn(secret)
      .then(onLogin, (error: unknown) => setFailure(error instanceof Error ? error.message : String(error)));
  };
  return (
    <main className="login">
      <form className="card" onSubmit={submit}>
        <h1>EnergeX Cache</h1>
        <label htmlFor="secret">Operator's secret</label>
        <input
          id="secret"
          type="password"
          autoComplete="current-password"
          value={secret}
          onChange={({ target }) => setSecret(target.value)}
          aria-describedby="login-failure"
          required
        />
        <button type="submit">Log in</button>
        <p id="login-failure" role="alert" className="failure">
          {failure}
        </p>
      </form>
    </main>
  );
}
