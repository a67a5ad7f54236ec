import type { ISessionContext } from '@jupyterlab/apputils';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

import { isObject, readSaid, type ISaid } from './payload';

const TARGET = 'hybridnb.cards';
const GONE: readonly string[] = ['restarting', 'autorestarting', 'terminating', 'dead'];

/** Who is spoken to over a link. */
export interface IHearer {
  readonly key: string;
  /** What it asks the kernel to be told of. */
  readonly subject: JSONObject;
  hear(said: ISaid): void;
  /** The kernel, or what it knew, is gone. */
  lose(): void;
}

/**
 * The way between all cards of a notebook and its kernel: one comm, opened from here.
 *
 * A kernel that does not know hybridnb closes the comm at once. It is asked again only when there is reason to: code was run since,
 * and that code names hybridnb, or a card was drawn.
 */
export class Link {
  private static readonly _links = new WeakMap<ISessionContext, Link>();

  static of(context: ISessionContext): Link {
    const link = Link._links.get(context) ?? new Link(context);
    Link._links.set(context, link);
    return link;
  }

  private readonly _cards = new Map<string, IHearer>();
  private _comm: Kernel.IComm | null = null;
  private _opening: Kernel.IComm | null = null;
  private _refused = false;
  private _again = false; // did a reason to ask come up while it was being asked?
  private _ran = false; // has the kernel run anything since it was asked?
  private _naming = ''; // the request that runs code which names hybridnb

  private constructor(private readonly _context: ISessionContext) {
    _context.kernelChanged.connect((_, change) => {
      this._lose();
      this._refused = false;
      if (change.newValue) {
        this.wake();
      }
    });
    _context.statusChanged.connect((_, status) => {
      if (GONE.includes(status)) {
        this._lose();
        this._refused = true;
        this._ran = false;
      }
    });
    _context.iopubMessage.connect((_, message) => this._overhear(message));
    const leave = () => this._leave();
    window.addEventListener('pagehide', leave);
    _context.disposed.connect(() => window.removeEventListener('pagehide', leave));
  }

  add(card: IHearer): void {
    this._cards.set(card.key, card);
    if (this._comm) {
      this.watch(card);
    } else {
      this.wake();
    }
  }

  remove(card: IHearer): void {
    if (this._cards.delete(card.key)) {
      void this.send(card, 'forget');
    }
  }

  watch(card: IHearer): void {
    void this.send(card, 'watch', { card: card.subject });
  }

  /** Say something; resolves when the kernel has dealt with it, or is gone. */
  async send(card: IHearer, what: string, more: JSONObject = {}): Promise<void> {
    try {
      await this._comm?.send({ do: what, id: card.key, ...more }).done;
    } catch {
      // The kernel went away meanwhile, which its status has told.
    }
  }

  /** Ask the kernel whether it knows hybridnb, if it may have learnt of it. */
  wake(): void {
    const kernel = this._context.session?.kernel;
    this._again = this._opening !== null;
    if (kernel?.handleComms && (!this._refused || this._ran) && this._cards.size > 0 && !this._comm && !this._opening) {
      void this._open(kernel);
    }
  }

  private async _open(kernel: Kernel.IKernelConnection): Promise<void> {
    const comm = (this._opening = kernel.createComm(TARGET));
    this._ran = false;
    comm.onMsg = message => this._hear(message);
    comm.onClose = () => {
      if (this._comm === comm) {
        this._lose();
        this._refused = true;
      }
    };
    try {
      await ready(kernel, comm);
      await comm.open().done;
    } catch {
      // The kernel went away meanwhile, which its status has told.
    }
    if (this._opening !== comm) {
      return;
    }
    this._opening = null;
    if (comm.isDisposed) {
      this._refused = true;
      if (this._again) {
        this.wake();
      }
    } else {
      this._comm = comm;
      this._cards.forEach(card => this.watch(card));
    }
  }

  /** The page is left: the kernel, which lives on, need not draw for it any more. */
  private _leave(): void {
    try {
      this._comm?.close();
    } catch {
      // The kernel is gone, or cannot be reached.
    }
  }

  private _lose(): void {
    this._comm = this._opening = null;
    this._cards.forEach(card => card.lose());
  }

  private _hear(message: KernelMessage.ICommMsgMsg): void {
    const { data } = message.content;
    if (isObject(data)) {
      this._cards.get(String(data['id']))?.hear(readSaid(data));
    }
  }

  private _overhear({ header, parent_header, content }: KernelMessage.IMessage): void {
    const asked = (parent_header as Partial<KernelMessage.IHeader>).msg_id ?? '';
    const { code, execution_state } = content as { code?: unknown; execution_state?: unknown };
    if (header.msg_type === 'execute_input') {
      this._ran = true;
      this._naming = typeof code === 'string' && code.includes('hybridnb') ? asked : '';
    } else if (header.msg_type === 'status' && execution_state === 'idle' && asked && asked === this._naming) {
      this._naming = '';
      this._ran = true;
      this.wake();
    }
  }
}

/** Wait until the comm has a subshell, where there are such: there it is heard while a cell runs. */
async function ready(kernel: Kernel.IKernelConnection, comm: Kernel.IComm): Promise<void> {
  const { commsOverSubshells, subshellStarted } = comm as { commsOverSubshells?: string; subshellStarted?: Promise<void> };
  await kernel.info;
  if (kernel.supportsSubshells && commsOverSubshells && commsOverSubshells !== 'disabled') {
    await subshellStarted;
  }
}
