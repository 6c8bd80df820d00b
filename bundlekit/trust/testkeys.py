"""The keys of the fixtures. Their private halves are derived from their names, so they are not secret."""

from __future__ import annotations

from typing import Final

TEST_KEYS: Final = frozenset(
    {
        "0ec56ec0ae264af29b465ca6932b2a5c0195ae4572cc44c60e532a91e3f05f5a",
        "0f6d7afe64f704bdb8ddec5f453da392c3ca300495231c891ae1411836d29e2a",
        "15805bdef6126f6f0a1652805922e2d3974be35b7d944f275b35f5a8a374cd81",
        "173b8a0d4078e0730075886e41b7195301a0b40ef35c37e420a1dd68b8dca475",
        "2b0abc0210877f521b592e9edeb613fde9d649a958a8f19c964c1261c4d7461d",
        "4788759c79a2a980606b2d3967975b13141ce6de5004cda58ac6983dc94d19dd",
        "4c00eaf09c5f99be8784d9a930c0f16ebd6fc9ad5f70e5b3547f23ec551ac6a2",
        "4c6ad39d4fc09a9a7e7dc4b9c96f5dc9e4b8d8a5ca851412bd562aabe8eda277",
        "63a0e8edb9ad86cd19c0785650fb013602fa9770fc2217632266be701f4ff10f",
        "86f3c2d05cbeeb80a42520801bcc27a815316c98ac1b4130372eb238bb50dba4",
        "a5b8b9d13461689834d7d7dbb43b0cc76d9fcee863c8d86279c9105f66e9393b",
        "aa59827010c37c413e43e579af753df9d70760fdd5fbf31ca59f5c20995ec93d",
        "ae86328a5f3bce2d2a9b9c188c377696933889faddd652fbf68403f6739c92bf",
        "b10fa7d588c34cfc380cfb7328bb99c2d1a1946b364e5ddb873566f2011e1dea",
        "b8c6a6c22a38e300caa4a6aa1391dc6466b960a6e810b4652d4c52a243b45554",
        "be169236fdc6ece16bab7032f70981cf1e115a5c5baf248eb6a4924013cdf59d",
        "bfd51f0249e76e54b28bb91b4fdad0535a4731f6f49a7da54c6f72d5472a6204",
        "c619727bfb493499812aa1f011f96cfd2b505c0e24deda7c9c6011bacc6cb479",
        "dffc5445d4ab4f0c2349325b8a346213434077da7ff5576b3f453fc3fb2098fe",
        "e602945a3fade1baf2697a147bc2d2fcb89c46aacbcced19b02125fa4a7155ad",
        "ef3c1735af5ce47b4c0e91d95a7056af7f6cad644290a7e53b5a36941b27fbc3",
        "f1748deec08819f087793279d93665f968619aa7cc04abbc7a3ab2b465f6adf4",
        "ff1412af19776309bb0602b92690eeb6ec4b857e97d320056384d061ecbb5946",
    }
)
"""Ids (SHA-256 of the SubjectPublicKeyInfo, in hex) of all keys that ``python -m fixtures.make_keys`` makes."""
