// The page: submits a demand and follows it live. What the service says becomes text nodes only,
// so that nothing of it is ever taken for markup.

import { DemandService } from './demand-service.js';

const $ = (id) => document.getElementById(id);
const [address, token, executionId, demand] = ['address', 'token', 'execution-id', 'demand'].map($);

const service = () => new DemandService(address.value, token.value);

/** An element with children; texts become text nodes. */
function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

/** Appends to a list that scrolls, and shows its end unless somebody has scrolled away from it. */
function append(list, items) {
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 1;
  list.append(...items);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

/** Sets a text if it differs: what is set is announced to users of screen readers. */
function tell(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// What can be done.

/** Names the text in the form: sent again with the same key, it makes no second demand. */
let key = crypto.randomUUID();
const renewKey = () => (key = crypto.randomUUID());
demand.addEventListener('input', renewKey);

const busy = new Set();

/** Lets a button or form act, once at a time, and shows how that is refused. */
function on(id, type, action) {
  $(id).addEventListener(type, async (event) => {
    event.preventDefault();
    if (busy.has(id) || $(id).ariaDisabled === 'true') return;
    busy.add(id);
    showProblem();
    try {
      await action();
    } catch (problem) {
      showProblem(problem);
    } finally {
      busy.delete(id);
    }
  });
}

on('submit', 'submit', async () => {
  const { execution_id } = await service().submit(demand.value, key);
  renewKey();
  goTo(execution_id);
});

on('follow', 'submit', () => goTo(executionId.value.trim()));

on('cancel', 'click', async () => show(await watched.service.cancel(watched.id)));

on('retry', 'click', async () => {
  await watched.service.retry(watched.id, watched.document.attempt);
  watch(watched.id);
});

// The address of the service is kept in the query, the demand's id in the fragment: a reload goes
// on following. The token is kept nowhere.

address.value = new URLSearchParams(location.search).get('service') ?? 'http://127.0.0.1:8080';
address.addEventListener('change', () => {
  const url = new URL(location);
  url.searchParams.set('service', address.value);
  history.replaceState(null, '', url);
});

function goTo(id) {
  if (location.hash !== `#${id}`) history.pushState(null, '', `#${id}`);
  watch(id);
}

const watchFragment = () => watch(location.hash.slice(1));
addEventListener('hashchange', watchFragment);

// What is followed.

/** The demand that is shown, and what ends that. */
let watched = { end: new AbortController() };

async function watch(id) {
  watched.end.abort();
  const end = new AbortController();
  watched = { id, end, service: service(), document: null, logs: new Set() };
  for (const part of ['steps', 'logs', 'history']) $(part).replaceChildren();
  $('watched').hidden = true;
  showProblem();
  tell('connection', '');
  if (id === '') return;
  executionId.value = id;
  tell('watched-id', id);
  const options = { signal: end.signal, onConnection: showConnection };
  try {
    show(await watched.service.status(id, options));
    for await (const entries of watched.service.follow(id, options)) {
      append($('history'), entries.map(historyItem));
      show(await watched.service.status(id, options));
    }
    tell('connection', 'The demand has ended.');
  } catch (problem) {
    if (!end.signal.aborted) showProblem(problem);
  }
}

function showConnection(problem, wait) {
  const seconds = Math.ceil(wait / 1000);
  tell('connection', problem ? `${problem.message} Trying again in ${seconds} s.` : 'Live.');
}

/** Shows a status document, unless a newer one is shown or another demand. */
function show(document) {
  const { id, document: last } = watched;
  if (document.execution_id !== id || document.version < last?.version) return;
  watched.document = document;
  const { status, phase, reason, attempt, steps } = document;
  $('status').dataset.status = status;
  tell('status', status);
  tell('phase', `Phase ${phase}, attempt ${attempt}`);
  tell('reason', reason ? `${reason.code}: ${reason.message}` : '');
  $('cancel').ariaDisabled = String(phase === 'DONE' || phase === 'CANCELING');
  $('retry').ariaDisabled = String(!['FAILED', 'ABORTED'].includes(status));
  $('steps').replaceChildren(...steps.map(stepRow));
  $('watched').hidden = false;
  for (const step of steps) showLog(step);
}

function stepRow({ step, attempt, status, exit_code, status_reason }) {
  const name = Object.assign(element('th', step), { scope: 'row' });
  const cells = [attempt, status, exit_code ?? '', status_reason ?? ''];
  return element('tr', name, ...cells.map((text) => element('td', text)));
}

function historyItem({ seq, at, type, step, from, to, detail }) {
  const time = Object.assign(element('time', new Date(at).toLocaleTimeString()), { dateTime: at });
  const change = from && to ? `${from} → ${to}` : (to ?? '');
  const words = [step, change, detail].filter(Boolean).join(' · ');
  return Object.assign(element('li', time, ' ', element('code', type), ' ', words), { value: seq });
}

async function showLog({ step, attempt, log_stream }) {
  const name = `Log of ${step}, attempt ${attempt}`;
  const { id, end, logs } = watched;
  if (log_stream === null || logs.has(name)) return;
  logs.add(name);
  const lines = Object.assign(element('pre'), { tabIndex: 0 });
  const log = element('details', element('summary', name), lines);
  log.open = step === 'execute';
  $('logs').append(log);
  try {
    for await (const more of watched.service.log(id, step, attempt, { signal: end.signal })) {
      const texts = more.map(({ message }) => `${message}\n`);
      append(lines, texts);
    }
  } catch (problem) {
    if (!end.signal.aborted) showProblem(problem);
  }
}

/** Shows a problem and all its faults, each beside its place in the request; or none. */
function showProblem(problem) {
  const { status, title, detail, errors = [], requestId } = problem ?? {};
  $('problem').hidden = !problem;
  demand.ariaInvalid = String(errors.length > 0);
  $('problem').replaceChildren();
  if (!problem) return;
  const faults = errors.flatMap(({ pointer, code, detail }) => [
    element('dt', element('code', pointer || '(the whole demand)')),
    element('dd', detail, ' ', element('small', code)),
  ]);
  $('problem').append(
    element('h2', status ? `${status} ${title}` : (title ?? String(problem))),
    element('p', detail ?? ''),
    element('dl', ...faults),
    element('small', requestId ? `Request ${requestId}` : ''),
  );
  if (status === 401) token.focus();
}

watchFragment();
