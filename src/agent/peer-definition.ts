/**
 * The CRD of Kilo's Peer resource, as a value.
 * Source: Kilo's crds.yaml (kilo.squat.ai/v1alpha1): names, scope and fields; descriptions are our own.
 * @module
 */
import type { CustomResourceDefinition } from './kubernetes/resources.ts';

const text = (description: string) => ({ type: 'string', description });

export const PEER_DEFINITION: CustomResourceDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'peers.kilo.squat.ai' },
  spec: {
    group: 'kilo.squat.ai',
    names: { kind: 'Peer', plural: 'peers', singular: 'peer' },
    scope: 'Cluster',
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            description: 'A WireGuard peer outside the cluster that every location has a tunnel to.',
            type: 'object',
            required: ['spec'],
            properties: {
              apiVersion: { type: 'string' },
              kind: { type: 'string' },
              metadata: { type: 'object' },
              spec: {
                type: 'object',
                required: ['allowedIPs', 'publicKey'],
                properties: {
                  allowedIPs: {
                    type: 'array',
                    description: 'Address ranges the peer may send from and is sent packets for.',
                    items: { type: 'string' },
                  },
                  publicKey: text('WireGuard public key, base64.'),
                  presharedKey: text('WireGuard preshared key, base64.'),
                  persistentKeepalive: {
                    type: 'integer',
                    description: 'Seconds; not zero for a peer behind NAT.',
                  },
                  endpoint: {
                    type: 'object',
                    description: 'Where the peer is dialled first.',
                    required: ['dnsOrIP', 'port'],
                    properties: {
                      dnsOrIP: {
                        type: 'object',
                        properties: { dns: text('A host name.'), ip: text('An IP address.') },
                      },
                      port: { type: 'integer', format: 'int32', description: 'UDP port.' },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};
