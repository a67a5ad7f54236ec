import type { ISessionContext } from '@jupyterlab/apputils';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { JSONExt, UUID, type JSONObject, type PartialJSONObject, type ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { PanelLayout, Widget } from '@lumino/widgets';

import { Bar } from './bar';
import { Link, type IHearer } from './link';
import { Live } from './live';
import { LogView } from './log';
import { MIME, readPayload, type Action, type IPayload, type ISaid } from './payload';

/** A card: the saved HTML, drawn again at each news, and above it buttons while the kernel listens. */
export class CardWidget extends Widget implements IRenderMime.IRenderer, IHearer {
  readonly key = UUID.uuid4();
  private readonly _bar = new Bar(action => this._act(action));
  private readonly _log = new LogView((stream, offset) => void this._link?.send(this, 'log', { stream, offset }));
  private readonly _html: IRenderMime.IRenderer;
  private readonly _live: Live;
  private _link: Link | null = null;
  private _model: IRenderMime.IMimeModel | null = null;
  private _payload: IPayload | null = null;
  private _shown: string | null = null;

  constructor(html: IRenderMime.IRenderer) {
    super();
    this._html = html;
    this._live = new Live(this, html);
    this.addClass('hnb-Card');
    const layout = (this.layout = new PanelLayout());
    [this._bar, html, this._log].forEach(part => layout.addWidget(part));
  }

  /** What the kernel is asked to tell of. */
  get subject(): JSONObject {
    return (this._model?.data[MIME] ?? {}) as JSONObject;
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const [before, payload] = [this._payload, readPayload(model.data[MIME])];
    this._model = model;
    this._payload = payload;
    this._bar.tell(payload);
    await this._draw(model);
    if (this._link && before && payload && !sameSubject(before, payload)) {
      this._link.watch(this);
    }
    this._link?.wake();
  }

  hear(said: ISaid): void {
    if (said.data) {
      this._bar.complain('');
      this._bar.offer(said.actions);
      this._keep(said.data);
      this._bar.tell(this._payload);
      if (!this._payload?.ended) {
        this._log.resume();
      }
    }
    if (said.log) {
      this._log.add(said.log);
    }
    if (said.canvas !== null) {
      this._live.show(said.canvas);
    }
    if (said.error !== null) {
      this._bar.show();
      this._bar.complain(said.error);
      this._log.stop();
    }
  }

  lose(): void {
    this._live.drop();
    this._bar.withdraw();
    this._log.stop();
  }

  override dispose(): void {
    this._live.drop();
    this._link?.remove(this);
    super.dispose();
  }

  protected override onAfterAttach(): void {
    const context = this._link ? null : contextOf(this);
    if (context) {
      this._link = Link.of(context);
      this._link.add(this);
      if (this._payload?.job === null) {
        this._live.prepare();
      }
    }
  }

  /** Draw the HTML of the bundle, as that of a stranger: nothing of it is run, however much the notebook is trusted. */
  private async _draw(model: IRenderMime.IMimeModel): Promise<void> {
    const html = String(model.data['text/html'] ?? '');
    if (html !== this._shown) {
      this._shown = html;
      await this._html.renderModel({ data: { 'text/html': html }, metadata: {}, trusted: false, setData: () => undefined });
    }
  }

  /** Write a new bundle into the output, so that the notebook holds it when it is saved. */
  private _keep(data: ReadonlyPartialJSONObject): void {
    if (this._model && !JSONExt.deepEqual(this._model.data as PartialJSONObject, data as PartialJSONObject)) {
      this._model.setData({ data });
    }
  }

  private _act(action: Action): void {
    if (action === 'log') {
      this._log.isHidden ? this._log.open(this._payload?.state === 'failed' ? 'err' : 'out') : this._log.fold();
      this._bar.expand(!this._log.isHidden);
      return;
    }
    this._bar.complain('');
    this._bar.busy(true);
    void this._link?.send(this, action).then(() => this._bar.busy(false));
  }
}

/** Are two payloads about the same, whatever became of it? */
function sameSubject(a: IPayload, b: IPayload): boolean {
  return a.file === b.file && a.job === b.job && a.pinned === b.pinned && (!a.pinned || a.run === b.run);
}

/** Find the session of the notebook or console that holds a widget; null where there is none. */
function contextOf(widget: Widget): ISessionContext | null {
  for (let above = widget.parent; above; above = above.parent) {
    if ('sessionContext' in above) {
      return above.sessionContext as ISessionContext;
    }
  }
  return null;
}
