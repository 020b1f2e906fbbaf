/**
 * What keeps an agent from its work as a whole, with a stable code and a sentence that says what to do. What is wrong with
 * one member of the mesh, or one step of a pass, is no exception: it is told as a fault and the rest goes on.
 * @module
 */

export type AgentErrorCode =
  | 'ERR_AGENT_OPTION'
  | 'ERR_AGENT_HOSTNAME'
  | 'ERR_AGENT_ADDRESS'
  | 'ERR_AGENT_KEY'
  | 'ERR_AGENT_DEVICE'
  | 'ERR_AGENT_LINK'
  | 'ERR_AGENT_FILTER'
  | 'ERR_AGENT_NO_PROGRAM'
  | 'ERR_AGENT_CNI'
  | 'ERR_AGENT_LISTEN'
  | 'ERR_AGENT_MESH_FILE';

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const sentenceOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
