/**
 * What can be wrong with a manifest that is asked for.
 * @module
 */

export class DeployError extends Error {
  readonly code: 'ERR_DEPLOY_SETTING' | 'ERR_DEPLOY_VALUE' | 'ERR_DEPLOY_VARIANT';

  constructor(code: DeployError['code'], message: string) {
    super(message);
    this.name = 'DeployError';
    this.code = code;
  }
}
