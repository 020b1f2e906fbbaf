/**
 * What the agent may do in the cluster: an account, its role, and a policy that keeps every agent to its own Node.
 * Source: Kubernetes RBAC; ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1); bound service-account tokens, whose
 * extra field authentication.kubernetes.io/node-name says where the pod runs.
 * @module
 */
import { type Described, slot, text, when } from './template.ts';

export const LABELS = { 'app.kubernetes.io/name': 'kilowire', 'app.kubernetes.io/part-of': 'kilowire' };
export const ACCOUNT = 'kilowire';

const account: Described = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: ACCOUNT, namespace: slot('namespace'), labels: LABELS },
};

const role: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: ACCOUNT, labels: LABELS },
  rules: [
    { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch', 'patch'] },
    { apiGroups: ['kilo.squat.ai'], resources: ['peers'], verbs: ['list', 'watch'] },
    // Bounds of Peers may name them.
    { apiGroups: [''], resources: ['services'], verbs: ['list', 'watch'] },
    { apiGroups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'], verbs: ['get'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ],
};

const binding: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: ACCOUNT, labels: LABELS },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: ACCOUNT },
  subjects: [{ kind: 'ServiceAccount', name: ACCOUNT, namespace: slot('namespace') }],
};

/** Where kubelets keep theirs. */
const LEASE_NAMESPACE = 'kube-node-lease';

const leaseRole: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: { name: ACCOUNT, namespace: LEASE_NAMESPACE, labels: LABELS },
  rules: [
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      verbs: ['list', 'watch', 'create', 'patch'],
    },
  ],
};

const leaseBinding: Described = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: ACCOUNT, namespace: LEASE_NAMESPACE, labels: LABELS },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ACCOUNT },
  subjects: [{ kind: 'ServiceAccount', name: ACCOUNT, namespace: slot('namespace') }],
};

const POLICY = 'kilowire-own-node';

const policy: Described = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name: POLICY, labels: LABELS },
  spec: {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: [''],
          apiVersions: ['v1'],
          operations: ['UPDATE'],
          resources: ['nodes', 'nodes/status'],
        },
      ],
    },
    matchConditions: [
      {
        name: 'an-agent',
        expression: text`request.userInfo.username == 'system:serviceaccount:${slot('namespace')}:kilowire'`,
      },
    ],
    validations: [
      {
        expression:
          "'authentication.kubernetes.io/node-name' in request.userInfo.extra && object.metadata.name == request.userInfo.extra['authentication.kubernetes.io/node-name'][0]",
        message: 'an agent may change the Node it runs on, and no other',
      },
      {
        expression: 'object.spec == oldObject.spec && object.metadata.?labels == oldObject.metadata.?labels',
        message: 'an agent may change annotations, and nothing else',
      },
    ],
  },
};

const policyBinding: Described = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name: POLICY, labels: LABELS },
  spec: { policyName: POLICY, validationActions: ['Deny'] },
};

export const access: Readonly<Record<string, Described>> = {
  'service-account': account,
  'cluster-role': role,
  'cluster-role-binding': binding,
  'lease-role': when('agent.leaseHeartbeat', leaseRole),
  'lease-role-binding': when('agent.leaseHeartbeat', leaseBinding),
  'admission-policy': when('admissionPolicy', policy),
  'admission-policy-binding': when('admissionPolicy', policyBinding),
};
