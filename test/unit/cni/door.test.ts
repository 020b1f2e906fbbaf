/**
 * The door of the CNI executable: its instructions as other people's tools read them, and what it does to a file.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Arm64Assembler } from '../../../scripts/door/arm64.ts';
import type { Assembler } from '../../../scripts/door/assembler.ts';
import { doorFor } from '../../../scripts/door/elf.ts';
import { deletionOf } from '../../../scripts/door/fork.ts';
import { X64Assembler } from '../../../scripts/door/x64.ts';

const folder = mkdtempSync(join(tmpdir(), 'kwcr-door-'));
afterAll(() => rmSync(folder, { recursive: true }));

const programs = (name: string): string | undefined =>
  ['/usr/bin', '/usr/local/bin'].map((path) => join(path, name)).find((path) => existsSync(path));

/** A use of each instruction, in every form that is encoded in another way. */
function everything(code: Assembler): Uint8Array {
  code.label('top');
  code.set('a', 5);
  code.set('b', -100);
  code.set('e', 0x1122_3344_5566_7788n);
  code.copy('frame', 'stack');
  code.copy('d', 'a');
  code.add('c', 40);
  code.add('c', 'u');
  code.subtract('stack', 114_688);
  code.subtract('t', 'frame');
  code.and('e', 't');
  code.shiftRight('e', 12);
  code.load(8, 't', 'stack', 8);
  code.load(4, 'a', 'b', 16);
  code.load(2, 'u', 'frame', 58);
  code.load(1, 'd', 'c', 3);
  code.store(8, 'e', 'frame', 49_160);
  code.store(4, 't', 'b', 4);
  code.store(2, 'a', 'e', 2);
  code.store(1, 'd', 'd', 0);
  code.store(8, 't', 'frame', 282);
  code.branch('a', 'equal', 7, 'top');
  code.branch('b', 'less', 'c', 'top');
  code.branch('t', 'above', 65_536, 'top');
  code.branch('t', 'different', -11, 'top');
  code.call('top');
  code.return();
  code.system('close', 'e');
  code.begin('t', 'e');
  return code.finish();
}

const objdump = programs('objdump');

test.skipIf(objdump === undefined)('x86-64 is what objdump says it is', () => {
  const file = join(folder, 'x64');
  writeFileSync(file, everything(new X64Assembler()));
  const said = execFileSync(
    objdump as string,
    ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--no-show-raw-insn', file],
    { encoding: 'utf8' },
  );
  const lines = [...said.matchAll(/^ +[0-9a-f]+:\t(.*?)\s*$/gm)].map(([, text]) =>
    text?.replace(/\s+/g, ' '),
  );
  expect(lines).toEqual([
    'rex mov ebx,0x5',
    'mov r12,0xffffffffffffff9c',
    'movabs r15,0x1122334455667788',
    'mov rbp,rsp',
    'mov r14,rbx',
    'add r13,0x28',
    'add r13,rcx',
    'sub rsp,0x1c000',
    'sub rax,rbp',
    'and r15,rax',
    'shr r15,0xc',
    'mov rax,QWORD PTR [rsp+0x8]',
    'mov ebx,DWORD PTR [r12+0x10]',
    'rex movzx ecx,WORD PTR [rbp+0x3a]',
    'movzx r14d,BYTE PTR [r13+0x3]',
    'mov QWORD PTR [rbp+0xc008],r15',
    'mov DWORD PTR [r12+0x4],eax',
    'mov WORD PTR [r15+0x2],bx',
    'mov BYTE PTR [r14+0x0],r14b',
    'mov QWORD PTR [rbp+0x11a],rax',
    'cmp rbx,0x7',
    'je 0x0',
    'cmp r12,r13',
    'jl 0x0',
    'cmp rax,0x10000',
    'ja 0x0',
    'cmp rax,0xfffffffffffffff5',
    'jne 0x0',
    'call 0x0',
    'ret',
    'mov rdi,r15',
    'rex mov eax,0x3',
    'syscall',
    'mov rsp,r15',
    'xor edx,edx',
    'rex.W jmp rax',
  ]);
});

test('AArch64 is what the manual says it is', () => {
  const words = (write: (code: Assembler) => void): string[] => {
    const code = new Arm64Assembler();
    code.label('here');
    write(code);
    const view = new DataView(code.finish().buffer);
    return Array.from({ length: view.byteLength / 4 }, (_, index) =>
      view
        .getUint32(4 * index, true)
        .toString(16)
        .padStart(8, '0'),
    );
  };
  // As the examples of the Arm Architecture Reference Manual, C6.2, are put together.
  expect(words((code) => code.set('t', 1))).toEqual(['d2800029']);
  expect(words((code) => code.set('a', 0x1_0000_0002n))).toEqual(['d2800053', 'f2c00033']);
  expect(words((code) => code.copy('a', 'b'))).toEqual(['aa1403f3']);
  expect(words((code) => code.copy('frame', 'stack'))).toEqual(['910003fd']);
  expect(words((code) => code.add('a', 16))).toEqual(['91004273']);
  expect(words((code) => code.subtract('stack', 0x1c000))).toEqual(['d14073ff']);
  expect(words((code) => code.load(8, 'a', 'stack', 0))).toEqual(['f94003f3']);
  expect(words((code) => code.store(8, 't', 'frame', 8))).toEqual(['f90007a9']);
  expect(words((code) => code.load(1, 't', 'b', 0))).toEqual(['39400289']);
  expect(words((code) => code.branch('t', 'equal', 1, 'here'))).toEqual(['f100053f', '54ffffe0']);
  expect(words((code) => code.jump('here'))).toEqual(['14000000']);
  expect(words((code) => code.call('here'))).toEqual(['94000000']);
  expect(words((code) => code.return())).toEqual(['d65f03c0']);
  expect(words((code) => code.system('geteuid'))).toEqual(['d28015e8', 'd4000001', 'aa0003e9']);
});

/** An executable of one segment, headers and all, that is loaded at 4 MiB. */
function program(machine: number, code: Uint8Array): string {
  const base = 0x40_0000n;
  const file = new Uint8Array(4096 + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, base + 4096n, true);
  view.setBigUint64(32, 64n, true);
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 1],
  ] as const)
    view.setUint16(at, value, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  view.setBigUint64(80, base, true);
  view.setBigUint64(96, BigInt(file.length), true);
  view.setBigUint64(104, BigInt(file.length), true);
  view.setBigUint64(112, 65_536n, true);
  file.set(code, 4096);
  const path = join(folder, `program-${machine}`);
  writeFileSync(path, file);
  chmodSync(path, 0o755);
  return path;
}

/** Counts its arguments' letters into memory of its own, in every width, and ends with the sum. */
function letters(code: Assembler): Uint8Array {
  code.load(8, 'd', 'stack', 0);
  code.copy('c', 'stack');
  code.subtract('stack', 65_536);
  code.copy('frame', 'stack');
  code.set('t', 0);
  code.store(8, 't', 'frame', 49_160);
  code.label('argument');
  code.branch('d', 'equal', 0, 'done');
  code.subtract('d', 1);
  code.add('c', 8);
  code.load(8, 'a', 'c', 0);
  code.label('letter');
  code.load(1, 't', 'a', 0);
  code.add('a', 1);
  code.branch('t', 'equal', 0, 'argument');
  code.call('count');
  code.jump('letter');
  code.label('count');
  for (const width of [4, 2, 8, 1] as const) {
    code.load(width, 'u', 'frame', 49_160);
    code.store(width, 'u', 'frame', 49_160);
  }
  code.add('u', 1);
  code.store(8, 'u', 'frame', 49_160);
  code.return();
  code.label('done');
  code.system('write', 1, { label: 'text' }, 6);
  code.load(8, 'e', 'frame', 49_160);
  code.set('t', 0x1234_5678_9abc_def0n);
  code.shiftRight('t', 60);
  code.add('e', 't');
  code.set('t', -1);
  code.branch('t', 'above', 'e', 'less');
  code.set('e', 99);
  code.label('less');
  code.branch('t', 'less', 'e', 'right');
  code.set('e', 98);
  code.label('right');
  code.system('exit_group', 'e');
  code.data('text', new TextEncoder().encode('hello\n'));
  return code.finish();
}

const machines = [
  {
    name: 'x86-64',
    machine: 62,
    code: () => new X64Assembler(),
    with: process.arch === 'x64' ? [] : undefined,
  },
  {
    name: 'AArch64',
    machine: 183,
    code: () => new Arm64Assembler(),
    with:
      process.arch === 'arm64'
        ? []
        : ['qemu-aarch64-static', 'qemu-aarch64']
            .map(programs)
            .filter((path) => path !== undefined)
            .slice(0, 1),
  },
];

describe.each(machines)('a program for $name', ({ machine, code, with: runner }) => {
  test.skipIf(runner === undefined || (process.arch !== 'arm64' && machine === 183 && runner.length === 0))(
    'counts, jumps, calls and speaks as it was written to',
    () => {
      const path = program(machine, letters(code()));
      const [first = '', ...rest] = [...(runner ?? []), path, 'abc', 'de'];
      const { status, stdout } = spawnSync(first, rest, { encoding: 'utf8' });
      expect(stdout).toBe('hello\n');
      // The path is the first argument; 1 is what was left of the shifted number.
      expect(status).toBe(path.length + 5 + 1);
    },
  );
});

/** As Bun's: interpreter, a segment, notes. */
function executable(machine: number): Uint8Array {
  const file = new Uint8Array(4096);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, 0x20_1000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(56, 3, true);
  [3, 1, 4].forEach((type, index) => {
    view.setUint32(64 + 56 * index, type, true);
  });
  view.setBigUint64(64 + 8, 1000n, true);
  view.setBigUint64(120 + 16, 0x20_0000n, true);
  view.setBigUint64(120 + 40, 0x12_3456n, true);
  file.set(new TextEncoder().encode('/lib/ld.so\0'), 1000);
  return file;
}

describe.each([62, 183])('the door of ELF machine %i', (machine) => {
  const door = doorFor(executable(machine), 5000, '0123456789abcdef');
  const view = new DataView(door.head.buffer);

  test('is a segment of its own behind the last one, where the program begins', () => {
    expect(view.getUint32(64 + 112, true)).toBe(1);
    expect(view.getUint32(64 + 116, true)).toBe(5);
    expect(door.at).toBe(65_536);
    expect(view.getBigUint64(64 + 112 + 8, true)).toBe(65_536n);
    const address = view.getBigUint64(64 + 112 + 16, true);
    expect(address).toBeGreaterThan(0x20_0000n + 0x12_3456n);
    expect(address % 65_536n).toBe(0n);
    expect(view.getBigUint64(24, true)).toBe(address);
    expect(view.getBigUint64(64 + 112 + 32, true)).toBe(BigInt(door.code.length));
  });

  test('loads the interpreter that was named, and the kernel finds none', () => {
    expect(view.getUint32(64, true)).toBe(0);
    expect(new TextDecoder('latin1').decode(door.code)).toContain('/lib/ld.so\0');
  });
});

test("nothing asks for process.arch: built for another machine it would be the builder's", () => {
  const found = ['src/cni', 'src/linux'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.name.endsWith('.ts'))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => /^[^*/]*process\.arch/m.test(readFileSync(path, 'utf8'))),
  );
  expect(found).toEqual([]);
});

test('there is no door in what has no place for it', () => {
  const file = executable(62);
  new DataView(file.buffer).setUint32(64 + 112, 1, true);
  expect(() => doorFor(file, 5000, '0'.repeat(16))).toThrow('no place');
  expect(() => doorFor(executable(8), 5000, '0'.repeat(16))).toThrow('machine 8');
  expect(() => doorFor(new Uint8Array(4096), 5000, '0'.repeat(16))).toThrow('ELF');
});

test('the sweeper asks for what `ip link delete group 1802071151` asks for', () => {
  // As strace shows it: nlmsg_len=40, RTM_DELLINK, NLM_F_REQUEST; ifinfomsg of nothing; nla_len=8, IFLA_GROUP.
  const words = [
    '28000000',
    '11000100',
    '00000000',
    '00000000',
    '00000000',
    '00000000',
    '00000000',
    '00000000',
  ];
  expect(Buffer.from(deletionOf(1_802_071_151)).toString('hex')).toBe(`${words.join('')}08001b006f6c696b`);
});
