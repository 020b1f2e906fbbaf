// ChaCha20-Poly1305 as one writes it at first: four blocks of ChaCha20 in 128-bit vectors, Poly1305 on two lanes of
// 26-bit limbs in 64-bit integers, no more. The kernel of src/aead/kernel is measured against it (bench/measures/cipher.ts).
// Source: RFC 8439. AssemblyScript; its name ends in .as so that nobody takes it for TypeScript. Not constant-time in its
// verdict, and not to be used for anything else.

const SIGMA0: u32 = 0x61707865, SIGMA1: u32 = 0x3320646e, SIGMA2: u32 = 0x79622d32, SIGMA3: u32 = 0x6b206574;

@inline function rotl16(v: v128): v128 { return i8x16.shuffle(v, v, 2,3,0,1,6,7,4,5,10,11,8,9,14,15,12,13); }
@inline function rotl8(v: v128): v128 { return i8x16.shuffle(v, v, 3,0,1,2,7,4,5,6,11,8,9,10,15,12,13,14); }
@inline function rotl12(v: v128): v128 { return v128.or(i32x4.shl(v,12), i32x4.shr_u(v,20)); }
@inline function rotl7(v: v128): v128 { return v128.or(i32x4.shl(v,7), i32x4.shr_u(v,25)); }

// xor 256 bytes of keystream at counter ctr into dst from src
export function blocks4(key: usize, ctr: u32, n0: u32, n1: u32, n2: u32, src: usize, dst: usize): void {
  const k0 = v128.load32_splat(key), k1 = v128.load32_splat(key+4), k2=v128.load32_splat(key+8), k3=v128.load32_splat(key+12);
  const k4 = v128.load32_splat(key+16), k5 = v128.load32_splat(key+20), k6=v128.load32_splat(key+24), k7=v128.load32_splat(key+28);
  const c12 = i32x4.add(i32x4.splat(ctr), i32x4(0,1,2,3));
  const c13 = i32x4.splat(n0), c14 = i32x4.splat(n1), c15 = i32x4.splat(n2);
  let x0=i32x4.splat(SIGMA0),x1=i32x4.splat(SIGMA1),x2=i32x4.splat(SIGMA2),x3=i32x4.splat(SIGMA3);
  let x4=k0,x5=k1,x6=k2,x7=k3,x8=k4,x9=k5,x10=k6,x11=k7,x12=c12,x13=c13,x14=c14,x15=c15;
  for (let i=0;i<10;i++) {
    x0=i32x4.add(x0,x4); x12=rotl16(v128.xor(x12,x0));
    x1=i32x4.add(x1,x5); x13=rotl16(v128.xor(x13,x1));
    x2=i32x4.add(x2,x6); x14=rotl16(v128.xor(x14,x2));
    x3=i32x4.add(x3,x7); x15=rotl16(v128.xor(x15,x3));
    x8=i32x4.add(x8,x12); x4=rotl12(v128.xor(x4,x8));
    x9=i32x4.add(x9,x13); x5=rotl12(v128.xor(x5,x9));
    x10=i32x4.add(x10,x14); x6=rotl12(v128.xor(x6,x10));
    x11=i32x4.add(x11,x15); x7=rotl12(v128.xor(x7,x11));
    x0=i32x4.add(x0,x4); x12=rotl8(v128.xor(x12,x0));
    x1=i32x4.add(x1,x5); x13=rotl8(v128.xor(x13,x1));
    x2=i32x4.add(x2,x6); x14=rotl8(v128.xor(x14,x2));
    x3=i32x4.add(x3,x7); x15=rotl8(v128.xor(x15,x3));
    x8=i32x4.add(x8,x12); x4=rotl7(v128.xor(x4,x8));
    x9=i32x4.add(x9,x13); x5=rotl7(v128.xor(x5,x9));
    x10=i32x4.add(x10,x14); x6=rotl7(v128.xor(x6,x10));
    x11=i32x4.add(x11,x15); x7=rotl7(v128.xor(x7,x11));

    x0=i32x4.add(x0,x5); x15=rotl16(v128.xor(x15,x0));
    x1=i32x4.add(x1,x6); x12=rotl16(v128.xor(x12,x1));
    x2=i32x4.add(x2,x7); x13=rotl16(v128.xor(x13,x2));
    x3=i32x4.add(x3,x4); x14=rotl16(v128.xor(x14,x3));
    x10=i32x4.add(x10,x15); x5=rotl12(v128.xor(x5,x10));
    x11=i32x4.add(x11,x12); x6=rotl12(v128.xor(x6,x11));
    x8=i32x4.add(x8,x13); x7=rotl12(v128.xor(x7,x8));
    x9=i32x4.add(x9,x14); x4=rotl12(v128.xor(x4,x9));
    x0=i32x4.add(x0,x5); x15=rotl8(v128.xor(x15,x0));
    x1=i32x4.add(x1,x6); x12=rotl8(v128.xor(x12,x1));
    x2=i32x4.add(x2,x7); x13=rotl8(v128.xor(x13,x2));
    x3=i32x4.add(x3,x4); x14=rotl8(v128.xor(x14,x3));
    x10=i32x4.add(x10,x15); x5=rotl7(v128.xor(x5,x10));
    x11=i32x4.add(x11,x12); x6=rotl7(v128.xor(x6,x11));
    x8=i32x4.add(x8,x13); x7=rotl7(v128.xor(x7,x8));
    x9=i32x4.add(x9,x14); x4=rotl7(v128.xor(x4,x9));
  }
  x0=i32x4.add(x0,i32x4.splat(SIGMA0)); x1=i32x4.add(x1,i32x4.splat(SIGMA1)); x2=i32x4.add(x2,i32x4.splat(SIGMA2)); x3=i32x4.add(x3,i32x4.splat(SIGMA3));
  x4=i32x4.add(x4,v128.load32_splat(key)); x5=i32x4.add(x5,v128.load32_splat(key+4)); x6=i32x4.add(x6,v128.load32_splat(key+8)); x7=i32x4.add(x7,v128.load32_splat(key+12));
  x8=i32x4.add(x8,v128.load32_splat(key+16)); x9=i32x4.add(x9,v128.load32_splat(key+20)); x10=i32x4.add(x10,v128.load32_splat(key+24)); x11=i32x4.add(x11,v128.load32_splat(key+28));
  x12=i32x4.add(x12,i32x4.add(i32x4.splat(ctr), i32x4(0,1,2,3))); x13=i32x4.add(x13,i32x4.splat(n0)); x14=i32x4.add(x14,i32x4.splat(n1)); x15=i32x4.add(x15,i32x4.splat(n2));
  tr(src, dst, 0, x0,x1,x2,x3);
  tr(src, dst, 16, x4,x5,x6,x7);
  tr(src, dst, 32, x8,x9,x10,x11);
  tr(src, dst, 48, x12,x13,x14,x15);
}
@inline function tr(src: usize, dst: usize, off: usize, a: v128, b: v128, c: v128, d: v128): void {
  const t0 = i32x4.shuffle(a,b,0,4,1,5), t1 = i32x4.shuffle(c,d,0,4,1,5);
  const t2 = i32x4.shuffle(a,b,2,6,3,7), t3 = i32x4.shuffle(c,d,2,6,3,7);
  const r0 = i64x2.shuffle(t0,t1,0,2), r1 = i64x2.shuffle(t0,t1,1,3), r2=i64x2.shuffle(t2,t3,0,2), r3=i64x2.shuffle(t2,t3,1,3);
  v128.store(dst+off, v128.xor(r0, v128.load(src+off)));
  v128.store(dst+off+64, v128.xor(r1, v128.load(src+off+64)));
  v128.store(dst+off+128, v128.xor(r2, v128.load(src+off+128)));
  v128.store(dst+off+192, v128.xor(r3, v128.load(src+off+192)));
}
const ZERO = memory.data(256, 16);
const TMP = memory.data(256, 16);
const PK = memory.data(64, 16);
const TAG = memory.data(16,16);

// Poly1305: lane 0 has the even blocks, lane 1 the odd ones.
@inline function mul(a: v128, b: v128): v128 { return i64x2.extmul_low_i32x4_u(a, b); }

export function poly(key: usize, aad0: u32, msg: usize, len: usize, out: usize): void {
  // key: 32 bytes r||s ; no aad ; padded msg (caller zero pads conceptually), length block appended
  const t0 = load<u32>(key), t1 = load<u32>(key+4), t2=load<u32>(key+8), t3=load<u32>(key+12);
  const r0: u64 = t0 & 0x3ffffff;
  const r1: u64 = ((t0>>>26)|(t1<<6)) & 0x3ffff03;
  const r2: u64 = ((t1>>>20)|(t2<<12)) & 0x3ffc0ff;
  const r3: u64 = ((t2>>>14)|(t3<<18)) & 0x3f03fff;
  const r4: u64 = (t3>>>8) & 0x00fffff;
  // r^2
  let d0 = r0*r0 + 2*5*(r1*r4) + 2*5*(r2*r3);
  let d1 = 2*r0*r1 + 2*5*(r2*r4) + 5*r3*r3;
  let d2 = 2*r0*r2 + r1*r1 + 2*5*(r3*r4);
  let d3 = 2*r0*r3 + 2*r1*r2 + 5*r4*r4;
  let d4 = 2*r0*r4 + 2*r1*r3 + r2*r2;
  let c: u64 = d0>>26; let q0=d0&0x3ffffff; d1+=c; c=d1>>26; let q1=d1&0x3ffffff; d2+=c; c=d2>>26; let q2=d2&0x3ffffff; d3+=c; c=d3>>26; let q3=d3&0x3ffffff; d4+=c; c=d4>>26; let q4=d4&0x3ffffff; q0+=c*5; c=q0>>26; q0&=0x3ffffff; q1+=c;
  // accumulators
  let h0=i64x2.splat(0),h1=h0,h2=h0,h3=h0,h4=h0;
  const M=i64x2.splat(0x3ffffff);
  const HI=i64x2.splat(1<<24);
  // process pairs: h = h*r^2 + m  ; final: lane0*r^2 , lane1*r
  const R0=packlo(q0,q0),R1=packlo(q1,q1),R2=packlo(q2,q2),R3=packlo(q3,q3),R4=packlo(q4,q4);
  const S1=packlo(q1*5,q1*5),S2=packlo(q2*5,q2*5),S3=packlo(q3*5,q3*5),S4=packlo(q4*5,q4*5);
  let n = len;
  let p = msg;
  let first = true;
  while (n >= 32) {
    if (!first) {
      const a0=narrow(h0),a1=narrow(h1),a2=narrow(h2),a3=narrow(h3),a4=narrow(h4);
      let e0=i64x2.add(i64x2.add(mul(a0,R0),mul(a1,S4)),i64x2.add(i64x2.add(mul(a2,S3),mul(a3,S2)),mul(a4,S1)));
      let e1=i64x2.add(i64x2.add(mul(a0,R1),mul(a1,R0)),i64x2.add(i64x2.add(mul(a2,S4),mul(a3,S3)),mul(a4,S2)));
      let e2=i64x2.add(i64x2.add(mul(a0,R2),mul(a1,R1)),i64x2.add(i64x2.add(mul(a2,R0),mul(a3,S4)),mul(a4,S3)));
      let e3=i64x2.add(i64x2.add(mul(a0,R3),mul(a1,R2)),i64x2.add(i64x2.add(mul(a2,R1),mul(a3,R0)),mul(a4,S4)));
      let e4=i64x2.add(i64x2.add(mul(a0,R4),mul(a1,R3)),i64x2.add(i64x2.add(mul(a2,R2),mul(a3,R1)),mul(a4,R0)));
      let cc=i64x2.shr_u(e0,26); h0=v128.and(e0,M); let f3=i64x2.shr_u(e3,26); h3=v128.and(e3,M);
      e1=i64x2.add(e1,cc); e4=i64x2.add(e4,f3);
      cc=i64x2.shr_u(e1,26); h1=v128.and(e1,M); f3=i64x2.shr_u(e4,26); h4=v128.and(e4,M);
      e2=i64x2.add(e2,cc); h0=i64x2.add(h0,i64x2.add(f3,i64x2.shl(f3,2)));
      cc=i64x2.shr_u(e2,26); h2=v128.and(e2,M); f3=i64x2.shr_u(h0,26); h0=v128.and(h0,M);
      h3=i64x2.add(h3,cc); h1=i64x2.add(h1,f3);
      cc=i64x2.shr_u(h3,26); h3=v128.and(h3,M); h4=i64x2.add(h4,cc);
    }
    first=false;
    // load two blocks
    const m0=v128.load(p), m1=v128.load(p+16);
    const lo=i64x2.shuffle(m0,m1,0,2), hi=i64x2.shuffle(m0,m1,1,3);
    h0=i64x2.add(h0,v128.and(lo,M));
    h1=i64x2.add(h1,v128.and(i64x2.shr_u(lo,26),M));
    h2=i64x2.add(h2,v128.and(v128.or(i64x2.shr_u(lo,52),i64x2.shl(hi,12)),M));
    h3=i64x2.add(h3,v128.and(i64x2.shr_u(hi,14),M));
    h4=i64x2.add(h4,v128.or(i64x2.shr_u(hi,40),HI));
    p+=32; n-=32;
  }
  let g0:u64=0,g1:u64=0,g2:u64=0,g3:u64=0,g4:u64=0;
  if (!first) {
    // lane0*r^2 + lane1*r
    const T0=packlo(q0,r0),T1=packlo(q1,r1),T2=packlo(q2,r2),T3=packlo(q3,r3),T4=packlo(q4,r4);
    const U1=packlo(q1*5,r1*5),U2=packlo(q2*5,r2*5),U3=packlo(q3*5,r3*5),U4=packlo(q4*5,r4*5);
    const a0=narrow(h0),a1=narrow(h1),a2=narrow(h2),a3=narrow(h3),a4=narrow(h4);
    const e0=i64x2.add(i64x2.add(mul(a0,T0),mul(a1,U4)),i64x2.add(i64x2.add(mul(a2,U3),mul(a3,U2)),mul(a4,U1)));
    const e1=i64x2.add(i64x2.add(mul(a0,T1),mul(a1,T0)),i64x2.add(i64x2.add(mul(a2,U4),mul(a3,U3)),mul(a4,U2)));
    const e2=i64x2.add(i64x2.add(mul(a0,T2),mul(a1,T1)),i64x2.add(i64x2.add(mul(a2,T0),mul(a3,U4)),mul(a4,U3)));
    const e3=i64x2.add(i64x2.add(mul(a0,T3),mul(a1,T2)),i64x2.add(i64x2.add(mul(a2,T1),mul(a3,T0)),mul(a4,U4)));
    const e4=i64x2.add(i64x2.add(mul(a0,T4),mul(a1,T3)),i64x2.add(i64x2.add(mul(a2,T2),mul(a3,T1)),mul(a4,T0)));
    let z0=i64x2.extract_lane(e0,0)+i64x2.extract_lane(e0,1);
    let z1=i64x2.extract_lane(e1,0)+i64x2.extract_lane(e1,1);
    let z2=i64x2.extract_lane(e2,0)+i64x2.extract_lane(e2,1);
    let z3=i64x2.extract_lane(e3,0)+i64x2.extract_lane(e3,1);
    let z4=i64x2.extract_lane(e4,0)+i64x2.extract_lane(e4,1);
    c=z0>>26; g0=z0&0x3ffffff; z1+=c; c=z1>>26; g1=z1&0x3ffffff; z2+=c; c=z2>>26; g2=z2&0x3ffffff; z3+=c; c=z3>>26; g3=z3&0x3ffffff; z4+=c; c=z4>>26; g4=z4&0x3ffffff; g0+=c*5; c=g0>>26; g0&=0x3ffffff; g1+=c;
  }
  // tail: remaining full 16B blocks (msg is multiple of 16 in wireguard transport)
  const s1=r1*5,s2=r2*5,s3=r3*5,s4=r4*5;
  let fin = false;
  while (true) {
    let lo: u64 = 0, hi: u64 = 0;
    if (n >= 16) { lo=load<u64>(p); hi=load<u64>(p+8); p+=16; n-=16; }
    else if (!fin) { lo=0; hi=len; fin=true; }
    else break;
    g0+=lo&0x3ffffff; g1+=(lo>>26)&0x3ffffff; g2+=((lo>>52)|(hi<<12))&0x3ffffff; g3+=(hi>>14)&0x3ffffff; g4+=(hi>>40)|(1<<24);
    let z0=g0*r0+g1*s4+g2*s3+g3*s2+g4*s1;
    let z1=g0*r1+g1*r0+g2*s4+g3*s3+g4*s2;
    let z2=g0*r2+g1*r1+g2*r0+g3*s4+g4*s3;
    let z3=g0*r3+g1*r2+g2*r1+g3*r0+g4*s4;
    let z4=g0*r4+g1*r3+g2*r2+g3*r1+g4*r0;
    c=z0>>26; g0=z0&0x3ffffff; z1+=c; c=z1>>26; g1=z1&0x3ffffff; z2+=c; c=z2>>26; g2=z2&0x3ffffff; z3+=c; c=z3>>26; g3=z3&0x3ffffff; z4+=c; c=z4>>26; g4=z4&0x3ffffff; g0+=c*5; c=g0>>26; g0&=0x3ffffff; g1+=c;
  }
  // full carry
  c=g1>>26; g1&=0x3ffffff; g2+=c; c=g2>>26; g2&=0x3ffffff; g3+=c; c=g3>>26; g3&=0x3ffffff; g4+=c; c=g4>>26; g4&=0x3ffffff; g0+=c*5; c=g0>>26; g0&=0x3ffffff; g1+=c;
  let p0=g0+5; c=p0>>26; p0&=0x3ffffff; let p1=g1+c; c=p1>>26; p1&=0x3ffffff; let p2=g2+c; c=p2>>26; p2&=0x3ffffff; let p3=g3+c; c=p3>>26; p3&=0x3ffffff; let p4=g4+c-(1<<26);
  const mask:u64 = (p4>>63)-1;
  g0=(g0&~mask)|(p0&mask); g1=(g1&~mask)|(p1&mask); g2=(g2&~mask)|(p2&mask); g3=(g3&~mask)|(p3&mask); g4=(g4&~mask)|(p4&mask);
  let lo=g0|(g1<<26)|(g2<<52); let hi=(g2>>12)|(g3<<14)|(g4<<40);
  const slo=load<u64>(key+16), shi=load<u64>(key+24);
  const l2=lo+slo; const carry:u64 = l2<lo?1:0; hi=hi+shi+carry;
  store<u64>(out,l2); store<u64>(out+8,hi);
}
@inline function packlo(a: u64, b: u64): v128 { // 32-bit values into lanes 0,1 of i32x4
  return i64x2(a | (b<<32), 0);
}
@inline function narrow(a: v128): v128 { return i32x4.shuffle(a,a,0,2,0,2); }

// seal in place capable: src->dst len multiple of 16. tag at dst+len
export function seal(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): void {
  let done: usize = 0;
  // first call: block 0 is poly key; blocks 1..3 first 192 bytes
  // generate keystream of first 4 blocks to TMP
  blocks4(key, 0, 0, ctrLo, ctrHi, ZERO, TMP);
  let n = len < 192 ? len : 192;
  for (let i: usize = 0; i < n; i += 16) v128.store(dst+i, v128.xor(v128.load(src+i), v128.load(TMP+64+i)));
  done = n;
  let ctr: u32 = 4;
  memory.copy(PK, TMP, 32);
  while (len - done >= 256) { blocks4(key, ctr, 0, ctrLo, ctrHi, src+done, dst+done); done += 256; ctr += 4; }
  if (done < len) {
    blocks4(key, ctr, 0, ctrLo, ctrHi, ZERO, TMP);
    const rem = len - done;
    for (let i: usize = 0; i < rem; i += 16) v128.store(dst+done+i, v128.xor(v128.load(src+done+i), v128.load(TMP+i)));
  }
  poly(PK, 0, dst, len, dst+len);
}
export function open(key: usize, ctrLo: u32, ctrHi: u32, src: usize, dst: usize, len: usize): i32 {
  blocks4(key, 0, 0, ctrLo, ctrHi, ZERO, TMP);
  memory.copy(PK, TMP, 32);
  poly(PK, 0, src, len, TAG);
  if (load<u64>(TAG) != load<u64>(src+len) || load<u64>(TAG+8) != load<u64>(src+len+8)) return -1;
  let n = len < 192 ? len : 192;
  for (let i: usize = 0; i < n; i += 16) v128.store(dst+i, v128.xor(v128.load(src+i), v128.load(TMP+64+i)));
  let done = n;
  let ctr: u32 = 4;
  while (len - done >= 256) { blocks4(key, ctr, 0, ctrLo, ctrHi, src+done, dst+done); done += 256; ctr += 4; }
  if (done < len) {
    blocks4(key, ctr, 0, ctrLo, ctrHi, ZERO, TMP);
    const rem = len - done;
    for (let i: usize = 0; i < rem; i += 16) v128.store(dst+done+i, v128.xor(v128.load(src+done+i), v128.load(TMP+i)));
  }
  return 0;
}
