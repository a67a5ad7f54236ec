import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { MimeModel, type IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { type PanelLayout, Widget } from '@lumino/widgets';

import { load } from '../canvas';

const WIDGET = 'application/vnd.jupyter.widget-view+json';

/** The live canvas in the place of a card's HTML, for as long as there is one: until it is drawn, and after it went, the HTML shows. */
export class Live {
  private _id = '';
  private _renderer: IRenderMime.IRenderer | null = null;
  private readonly _watcher = new MutationObserver(() => this._look());

  constructor(
    private readonly _card: Widget,
    private readonly _html: Widget
  ) {}

  /** Fetch its code while the kernel is still at work. */
  prepare(): void {
    if (registryOf(this._card)?.getFactory(WIDGET)) {
      load().catch(() => undefined); // it is told when the canvas is shown
    }
  }

  /** Show the canvas with this id, if the notebook has a widget manager. */
  show(id: string): void {
    const rendermime = registryOf(this._card);
    if (id === this._id || !rendermime?.getFactory(WIDGET)) {
      return;
    }
    this.drop();
    this._id = id;
    const renderer = (this._renderer = rendermime.createRenderer(WIDGET));
    renderer.hide();
    (this._card.layout as PanelLayout).insertWidget(0, renderer);
    this._watcher.observe(renderer.node, { childList: true, subtree: true });
    const data = { [WIDGET]: { version_major: 2, version_minor: 0, model_id: id } };
    void renderer.renderModel(new MimeModel({ trusted: true, data }));
  }

  /** Show the HTML again. */
  drop(): void {
    this._watcher.disconnect();
    this._renderer?.dispose();
    this._renderer = null;
    this._id = '';
    this._swap(false);
  }

  /** Whatever else the widget manager shows, as that there is no such model, is not shown. */
  private _look(): void {
    const drawn = this._renderer?.node.querySelector('.hnb-Canvas') != null;
    if (drawn) {
      this._swap(true);
    } else if (this._card.hasClass('hnb-mod-live')) {
      this.drop();
    }
  }

  private _swap(live: boolean): void {
    this._renderer?.setHidden(!live);
    this._html.setHidden(live);
    this._card.toggleClass('hnb-mod-live', live);
  }
}

/** Find the renderers of the notebook that holds a widget; those of all of JupyterLab know no kernel. */
function registryOf(widget: Widget): IRenderMimeRegistry | null {
  for (let above = widget.parent; above; above = above.parent) {
    if ('rendermime' in above) {
      return above.rendermime as IRenderMimeRegistry;
    }
  }
  return null;
}
