BEGIN TRANSACTION;
CREATE TABLE audit (
        seq INTEGER NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        role TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        what TEXT NOT NULL,
        why TEXT NOT NULL,
        evidence TEXT,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
INSERT INTO "audit" VALUES(1,'2026-03-02T12:00:00.000000+00:00','forge','','forge.started','forge','','','{"setting":"setting-1"}','0000000000000000000000000000000000000000000000000000000000000000','6b51e97e11e809e1424653ea4f9035b189cadb94d8f4f3dfa3aaab5b1b01679e');
INSERT INTO "audit" VALUES(2,'2026-03-02T12:00:00.000000+00:00','T1:UADA','','run.created','staging-1','deploy v1.4.0-rc.2 of shop to staging','','{"about":{"changes_url":"","criteria":[{"name":"ci","prod_words":"green","staging_words":"green","title":"CI status","to_prod":"required","to_staging":"required"},{"name":"smoke","prod_words":"","staging_words":"","title":"Smoke tests","to_prod":"required","to_staging":"required"},{"name":"suites","prod_words":"","staging_words":"for early dev; the candidate''s own suites are required to go on","title":"Integration/E2E","to_prod":"required","to_staging":"optional"},{"name":"performance","prod_words":"","staging_words":"","title":"Performance baseline","to_prod":"required","to_staging":"recommended"},{"name":"scan","prod_words":"no critical findings","staging_words":"","title":"Security scan","to_prod":"required","to_staging":"recommended"},{"name":"approvals","prod_words":"Service Owner and Product/Operations","staging_words":"Service Owner","title":"Manual approvals","to_prod":"required","to_staging":"required"}],"durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"migrations":[{"backward_compatible":true,"down":false,"name":"0007-currency","stage":"expand"},{"backward_compatible":false,"down":true,"name":"0008-rename-total","stage":"expand"},{"backward_compatible":false,"down":false,"name":"0009-drop-price","stage":"contract"}],"migrations_source":".forge/release.yaml","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"plan":"749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1","setting":"setting-1"}','6b51e97e11e809e1424653ea4f9035b189cadb94d8f4f3dfa3aaab5b1b01679e','85ed9c0f09d23516f7d339f6f3557b1713eeeeec5564c83eb17967a696b0a21a');
INSERT INTO "audit" VALUES(3,'2026-03-02T12:00:00.000000+00:00','forge','','run.started','staging-1','v1.4.0-rc.2 on staging','',NULL,'85ed9c0f09d23516f7d339f6f3557b1713eeeeec5564c83eb17967a696b0a21a','2a66711cf70cb1e924cb67c5247883ceb4d541f97780707da73d0fdfd7800e81');
INSERT INTO "audit" VALUES(4,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/0','Release candidate','','{"attempt":1}','2a66711cf70cb1e924cb67c5247883ceb4d541f97780707da73d0fdfd7800e81','9dccb7a10c77229dcf7a004610b22d64ee00955d10d9aa3c6854c54fc4de7663');
INSERT INTO "audit" VALUES(5,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/0','Release candidate: pass','v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: web","outcome":"pass","reason":"trivy 0.62 finds nothing critical in web, 0 s ago; it finds 2 high","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: worker","outcome":"pass","reason":"trivy 0.62 finds nothing critical in worker, 0 s ago; it finds 2 high","remedy":""}]','9dccb7a10c77229dcf7a004610b22d64ee00955d10d9aa3c6854c54fc4de7663','0baea6c62e364ffbf977086f297b85bc738fd380dbe84031fa22decaca3a1cc6');
INSERT INTO "audit" VALUES(6,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/1','CI green','','{"attempt":1}','0baea6c62e364ffbf977086f297b85bc738fd380dbe84031fa22decaca3a1cc6','7ba6f0624238f57c760858e20d97b310c8f4d729bb0c48e5399691560918ec7e');
INSERT INTO "audit" VALUES(7,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/1','CI green: pass','1 of 1 checks are green on cccccccccccc','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]','7ba6f0624238f57c760858e20d97b310c8f4d729bb0c48e5399691560918ec7e','0efac466425e0406f93989dd644fcca209620cb1ec646e7da25043abbef2a885');
INSERT INTO "audit" VALUES(8,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/2','Workloads deployable','','{"attempt":1}','0efac466425e0406f93989dd644fcca209620cb1ec646e7da25043abbef2a885','23d569c04885fa577e9c819df68723b720aa5a95c7d3bc04371ee037192b5963');
INSERT INTO "audit" VALUES(9,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/2','Workloads deployable: pass','web has both probes and 2 replicas','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]','23d569c04885fa577e9c819df68723b720aa5a95c7d3bc04371ee037192b5963','f09cb43f6ea08bad636028922da691e467e606572d8eaeaa12107641a0142645');
INSERT INTO "audit" VALUES(10,'2026-03-02T12:00:00.000000+00:00','forge','','approval.opened','staging-1','Deploy to staging','','{"expires":"2026-03-03T12:00:00+00:00","plan":"749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1","roles":["service_owner"]}','f09cb43f6ea08bad636028922da691e467e606572d8eaeaa12107641a0142645','8cec85e3e2fb432f9bee0ecc2873d4af5b2ab985d23c68746ad9a818516f064b');
INSERT INTO "audit" VALUES(11,'2026-03-02T12:00:00.000000+00:00','T1:USAM','service_owner','approval.approve','staging-1','Deploy to staging','','{"plan":"749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1"}','8cec85e3e2fb432f9bee0ecc2873d4af5b2ab985d23c68746ad9a818516f064b','81fbca48936bd0609558b5a3480d94146839206db27b90e96f6e7baac9c7f544');
INSERT INTO "audit" VALUES(12,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/4','Remember the images that run now','','{"attempt":1}','81fbca48936bd0609558b5a3480d94146839206db27b90e96f6e7baac9c7f544','2c8175d9a0e8625419bb9ffe9287ab617173063b01a8f46bd1d0139de19206e6');
INSERT INTO "audit" VALUES(13,'2026-03-02T12:00:00.000000+00:00','forge','','step.finished','staging-1/4','Remember the images that run now: pass','web runs old@sha256:0','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs old@sha256:0","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs old@sha256:0","remedy":""}]','2c8175d9a0e8625419bb9ffe9287ab617173063b01a8f46bd1d0139de19206e6','30cc89c7787b1b4cbd82ea027c98f704393e97b80c25ad92eb5ecb6acafab530');
INSERT INTO "audit" VALUES(14,'2026-03-02T12:00:00.000000+00:00','forge','','step.started','staging-1/5','Expand migration 0007-currency','','{"attempt":1}','30cc89c7787b1b4cbd82ea027c98f704393e97b80c25ad92eb5ecb6acafab530','fe4943a4ad537853a3a11e462e725fd6e0ec2557233c681f04dc0d4337ef2e96');
INSERT INTO "audit" VALUES(15,'2026-03-02T12:01:01.000000+00:00','forge','','step.finished','staging-1/5','Expand migration 0007-currency: pass','ended well after 1 min','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"result","samples":null,"source":"job/forge-staging-1-5","unit":"","value":"succeeded","window_s":null},{"at":null,"limit":0,"name":"exit code","samples":null,"source":"job/forge-staging-1-5","unit":"","value":0,"window_s":null},{"at":null,"limit":600.0,"name":"duration","samples":null,"source":"job/forge-staging-1-5","unit":"s","value":60.0,"window_s":null},{"at":null,"limit":null,"name":"last lines of the log","samples":null,"source":"pod/forge-staging-1-5-x7k2p","unit":"","value":"done","window_s":null}],"gate":"Expand migration 0007-currency","outcome":"pass","reason":"ended well after 1 min","remedy":""}]','fe4943a4ad537853a3a11e462e725fd6e0ec2557233c681f04dc0d4337ef2e96','c4fc6f60d689b3881e9a4e1d3799556589d28792e2854d56108dd544cf8b818c');
INSERT INTO "audit" VALUES(16,'2026-03-02T12:01:01.000000+00:00','forge','','step.started','staging-1/6','Expand migration 0008-rename-total','','{"attempt":1}','c4fc6f60d689b3881e9a4e1d3799556589d28792e2854d56108dd544cf8b818c','170260f36e81465826ac08d4a173b254b0e6ce49abc379d8e02ccc3e5d8fcad7');
CREATE TABLE buttons (
        id TEXT NOT NULL,
        action TEXT NOT NULL,
        run TEXT NOT NULL,
        "index" INTEGER,
        plan_hash TEXT NOT NULL,
        argument TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (id)
    );
INSERT INTO "buttons" VALUES('mdufoRW0MTOzkYFe','pause','staging-1',NULL,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('vhkcyLhK679Ax6ST','resume','staging-1',NULL,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('3hx64bCRagEPAO59','abort','staging-1',NULL,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('V2ug17EscLTbnNyM','retry','staging-1',NULL,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('lqLtf224dhqE0e9V','cancel','staging-1',NULL,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('zz3HfOJRRMJP34Nk','approve','staging-1',3,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('gzagbGC7O8lSymN5','reject','staging-1',3,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
INSERT INTO "buttons" VALUES('Q5vDl7daY6HiVXe3','withdraw','staging-1',3,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',NULL,'2026-03-02T12:00:00.000000+00:00');
CREATE TABLE checkpoints (
        seq INTEGER NOT NULL,
        instance TEXT NOT NULL,
        hash TEXT NOT NULL,
        at TEXT NOT NULL,
        key_id TEXT NOT NULL,
        signature TEXT NOT NULL,
        reason TEXT NOT NULL,
        places TEXT,
        stored_at TEXT NOT NULL,
        PRIMARY KEY (seq)
    );
CREATE TABLE clicks (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        actor TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        roles TEXT,
        decision TEXT NOT NULL,
        plan_hash TEXT NOT NULL,
        reason TEXT NOT NULL,
        at TEXT NOT NULL,
        withdrawn_at TEXT,
        void_at TEXT
    );
INSERT INTO "clicks" VALUES(1,'staging-1',3,'T1:USAM','Sam','["service_owner"]','approve','749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1','','2026-03-02T12:00:00.000000+00:00',NULL,NULL);
CREATE TABLE counters (
        series TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (series)
    );
INSERT INTO "counters" VALUES('runs:staging',1);
CREATE TABLE decisions (
        run TEXT NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        version TEXT NOT NULL,
        result TEXT NOT NULL,
        release TEXT,
        approvers TEXT,
        at TEXT NOT NULL,
        PRIMARY KEY (run)
    );
CREATE TABLE locks (
        environment TEXT NOT NULL,
        service TEXT NOT NULL,
        owner TEXT NOT NULL,
        owner_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (environment, service)
    );
CREATE TABLE marks (
        name TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (name)
    );
INSERT INTO "marks" VALUES('guards','2026-03-02T12:00:15.000000+00:00');
CREATE TABLE meta (
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (name)
    );
INSERT INTO "meta" VALUES('instance','9cc2cfdf69817292');
INSERT INTO "meta" VALUES('last_batch','cf87baf062cf:259');
CREATE TABLE outgoing (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        run TEXT NOT NULL,
        payload TEXT,
        broadcast BOOLEAN NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        not_before TEXT,
        error TEXT NOT NULL,
        created_at TEXT NOT NULL,
        sent_at TEXT
    );
INSERT INTO "outgoing" VALUES(1,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(2,'answer:1','answer','staging-1','{"blocks":[{"text":{"text":":white_check_mark: staging-1 has started: v1.4.0-rc.2 of shop to staging.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":1,"text":"staging-1 has started: v1.4.0-rc.2 of shop to staging."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(3,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(4,'note:staging-1:step:0:1:1','note','staging-1','{"mention":[],"text":"","title":"Release candidate: passed","tone":"good","verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: web","outcome":"pass","reason":"trivy 0.62 finds nothing critical in web, 0 s ago; it finds 2 high","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: worker","outcome":"pass","reason":"trivy 0.62 finds nothing critical in worker, 0 s ago; it finds 2 high","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(5,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(6,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(7,'note:staging-1:step:1:1:1','note','staging-1','{"mention":[],"text":"","title":"CI green: passed","tone":"good","verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(8,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(9,'note:staging-1:step:2:1:1','note','staging-1','{"mention":[],"text":"","title":"Workloads deployable: passed","tone":"good","verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(10,'approval:staging-1:3:1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(11,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(12,'approval:staging-1:3:1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(13,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(14,'answer:2','answer','staging-1','{"blocks":[{"text":{"text":":white_check_mark: You approved staging-1: Deploy to staging. All 1 given.","type":"mrkdwn","verbatim":true},"type":"section"}],"received":2,"text":"You approved staging-1: Deploy to staging. All 1 given."}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(15,'note:staging-1:step:4:1:1','note','staging-1','{"mention":[],"text":"","title":"Remember the images that run now: passed","tone":"good","verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs old@sha256:0","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs old@sha256:0","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(16,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(17,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(18,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "outgoing" VALUES(19,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:01.000000+00:00','2026-03-02T12:00:01.000000+00:00');
INSERT INTO "outgoing" VALUES(20,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:02.000000+00:00','2026-03-02T12:00:02.000000+00:00');
INSERT INTO "outgoing" VALUES(21,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:03.000000+00:00','2026-03-02T12:00:03.000000+00:00');
INSERT INTO "outgoing" VALUES(22,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:04.000000+00:00','2026-03-02T12:00:04.000000+00:00');
INSERT INTO "outgoing" VALUES(23,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:05.000000+00:00','2026-03-02T12:00:05.000000+00:00');
INSERT INTO "outgoing" VALUES(24,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:06.000000+00:00','2026-03-02T12:00:06.000000+00:00');
INSERT INTO "outgoing" VALUES(25,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:07.000000+00:00','2026-03-02T12:00:07.000000+00:00');
INSERT INTO "outgoing" VALUES(26,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:08.000000+00:00','2026-03-02T12:00:08.000000+00:00');
INSERT INTO "outgoing" VALUES(27,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:09.000000+00:00','2026-03-02T12:00:09.000000+00:00');
INSERT INTO "outgoing" VALUES(28,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:10.000000+00:00','2026-03-02T12:00:10.000000+00:00');
INSERT INTO "outgoing" VALUES(29,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:11.000000+00:00','2026-03-02T12:00:11.000000+00:00');
INSERT INTO "outgoing" VALUES(30,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:12.000000+00:00','2026-03-02T12:00:12.000000+00:00');
INSERT INTO "outgoing" VALUES(31,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:13.000000+00:00','2026-03-02T12:00:13.000000+00:00');
INSERT INTO "outgoing" VALUES(32,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:14.000000+00:00','2026-03-02T12:00:14.000000+00:00');
INSERT INTO "outgoing" VALUES(33,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:15.000000+00:00','2026-03-02T12:00:15.000000+00:00');
INSERT INTO "outgoing" VALUES(34,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:16.000000+00:00','2026-03-02T12:00:16.000000+00:00');
INSERT INTO "outgoing" VALUES(35,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:17.000000+00:00','2026-03-02T12:00:17.000000+00:00');
INSERT INTO "outgoing" VALUES(36,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:18.000000+00:00','2026-03-02T12:00:18.000000+00:00');
INSERT INTO "outgoing" VALUES(37,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:19.000000+00:00','2026-03-02T12:00:19.000000+00:00');
INSERT INTO "outgoing" VALUES(38,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:20.000000+00:00','2026-03-02T12:00:20.000000+00:00');
INSERT INTO "outgoing" VALUES(39,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:21.000000+00:00','2026-03-02T12:00:21.000000+00:00');
INSERT INTO "outgoing" VALUES(40,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:22.000000+00:00','2026-03-02T12:00:22.000000+00:00');
INSERT INTO "outgoing" VALUES(41,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:23.000000+00:00','2026-03-02T12:00:23.000000+00:00');
INSERT INTO "outgoing" VALUES(42,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:24.000000+00:00','2026-03-02T12:00:24.000000+00:00');
INSERT INTO "outgoing" VALUES(43,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:25.000000+00:00','2026-03-02T12:00:25.000000+00:00');
INSERT INTO "outgoing" VALUES(44,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:26.000000+00:00','2026-03-02T12:00:26.000000+00:00');
INSERT INTO "outgoing" VALUES(45,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:27.000000+00:00','2026-03-02T12:00:27.000000+00:00');
INSERT INTO "outgoing" VALUES(46,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:28.000000+00:00','2026-03-02T12:00:28.000000+00:00');
INSERT INTO "outgoing" VALUES(47,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:29.000000+00:00','2026-03-02T12:00:29.000000+00:00');
INSERT INTO "outgoing" VALUES(48,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:30.000000+00:00','2026-03-02T12:00:30.000000+00:00');
INSERT INTO "outgoing" VALUES(49,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:31.000000+00:00','2026-03-02T12:00:31.000000+00:00');
INSERT INTO "outgoing" VALUES(50,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:32.000000+00:00','2026-03-02T12:00:32.000000+00:00');
INSERT INTO "outgoing" VALUES(51,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:33.000000+00:00','2026-03-02T12:00:33.000000+00:00');
INSERT INTO "outgoing" VALUES(52,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:34.000000+00:00','2026-03-02T12:00:34.000000+00:00');
INSERT INTO "outgoing" VALUES(53,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:35.000000+00:00','2026-03-02T12:00:35.000000+00:00');
INSERT INTO "outgoing" VALUES(54,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:36.000000+00:00','2026-03-02T12:00:36.000000+00:00');
INSERT INTO "outgoing" VALUES(55,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:37.000000+00:00','2026-03-02T12:00:37.000000+00:00');
INSERT INTO "outgoing" VALUES(56,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:38.000000+00:00','2026-03-02T12:00:38.000000+00:00');
INSERT INTO "outgoing" VALUES(57,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:39.000000+00:00','2026-03-02T12:00:39.000000+00:00');
INSERT INTO "outgoing" VALUES(58,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:40.000000+00:00','2026-03-02T12:00:40.000000+00:00');
INSERT INTO "outgoing" VALUES(59,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:41.000000+00:00','2026-03-02T12:00:41.000000+00:00');
INSERT INTO "outgoing" VALUES(60,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:42.000000+00:00','2026-03-02T12:00:42.000000+00:00');
INSERT INTO "outgoing" VALUES(61,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:43.000000+00:00','2026-03-02T12:00:43.000000+00:00');
INSERT INTO "outgoing" VALUES(62,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:44.000000+00:00','2026-03-02T12:00:44.000000+00:00');
INSERT INTO "outgoing" VALUES(63,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:45.000000+00:00','2026-03-02T12:00:45.000000+00:00');
INSERT INTO "outgoing" VALUES(64,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:46.000000+00:00','2026-03-02T12:00:46.000000+00:00');
INSERT INTO "outgoing" VALUES(65,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:47.000000+00:00','2026-03-02T12:00:47.000000+00:00');
INSERT INTO "outgoing" VALUES(66,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:48.000000+00:00','2026-03-02T12:00:48.000000+00:00');
INSERT INTO "outgoing" VALUES(67,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:49.000000+00:00','2026-03-02T12:00:49.000000+00:00');
INSERT INTO "outgoing" VALUES(68,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:50.000000+00:00','2026-03-02T12:00:50.000000+00:00');
INSERT INTO "outgoing" VALUES(69,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:51.000000+00:00','2026-03-02T12:00:51.000000+00:00');
INSERT INTO "outgoing" VALUES(70,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:52.000000+00:00','2026-03-02T12:00:52.000000+00:00');
INSERT INTO "outgoing" VALUES(71,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:53.000000+00:00','2026-03-02T12:00:53.000000+00:00');
INSERT INTO "outgoing" VALUES(72,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:54.000000+00:00','2026-03-02T12:00:54.000000+00:00');
INSERT INTO "outgoing" VALUES(73,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:55.000000+00:00','2026-03-02T12:00:55.000000+00:00');
INSERT INTO "outgoing" VALUES(74,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:56.000000+00:00','2026-03-02T12:00:56.000000+00:00');
INSERT INTO "outgoing" VALUES(75,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:57.000000+00:00','2026-03-02T12:00:57.000000+00:00');
INSERT INTO "outgoing" VALUES(76,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:58.000000+00:00','2026-03-02T12:00:58.000000+00:00');
INSERT INTO "outgoing" VALUES(77,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:00:59.000000+00:00','2026-03-02T12:00:59.000000+00:00');
INSERT INTO "outgoing" VALUES(78,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:00.000000+00:00','2026-03-02T12:01:00.000000+00:00');
INSERT INTO "outgoing" VALUES(79,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:01.000000+00:00','2026-03-02T12:01:01.000000+00:00');
INSERT INTO "outgoing" VALUES(80,'note:staging-1:step:5:1:1','note','staging-1','{"mention":[],"text":"","title":"Expand migration 0007-currency: passed","tone":"good","verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"result","samples":null,"source":"job/forge-staging-1-5","unit":"","value":"succeeded","window_s":null},{"at":null,"limit":0,"name":"exit code","samples":null,"source":"job/forge-staging-1-5","unit":"","value":0,"window_s":null},{"at":null,"limit":600.0,"name":"duration","samples":null,"source":"job/forge-staging-1-5","unit":"s","value":60.0,"window_s":null},{"at":null,"limit":null,"name":"last lines of the log","samples":null,"source":"pod/forge-staging-1-5-x7k2p","unit":"","value":"done","window_s":null}],"gate":"Expand migration 0007-currency","outcome":"pass","reason":"ended well after 1 min","remedy":""}]}',0,'sent',1,NULL,'','2026-03-02T12:01:01.000000+00:00','2026-03-02T12:01:01.000000+00:00');
INSERT INTO "outgoing" VALUES(81,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:01.000000+00:00','2026-03-02T12:01:01.000000+00:00');
INSERT INTO "outgoing" VALUES(82,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:02.000000+00:00','2026-03-02T12:01:02.000000+00:00');
INSERT INTO "outgoing" VALUES(83,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:03.000000+00:00','2026-03-02T12:01:03.000000+00:00');
INSERT INTO "outgoing" VALUES(84,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:04.000000+00:00','2026-03-02T12:01:04.000000+00:00');
INSERT INTO "outgoing" VALUES(85,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:05.000000+00:00','2026-03-02T12:01:05.000000+00:00');
INSERT INTO "outgoing" VALUES(86,'headline:staging-1','view','staging-1',NULL,0,'sent',1,NULL,'','2026-03-02T12:01:06.000000+00:00','2026-03-02T12:01:06.000000+00:00');
CREATE TABLE posted (
        subject TEXT NOT NULL,
        run TEXT NOT NULL,
        channel TEXT NOT NULL,
        ts TEXT NOT NULL,
        thread_ts TEXT NOT NULL,
        permalink TEXT NOT NULL,
        rendered TEXT NOT NULL,
        posted_at TEXT NOT NULL,
        PRIMARY KEY (subject)
    );
INSERT INTO "posted" VALUES('headline:staging-1','staging-1','C1','1.0','','https://slack.test/1.0','ce82e5c186c937172b58c5beccbc68e46e1a27bcc88d820bc9dbc51e3b12ff61','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:0:1:1','staging-1','C1','2.0','1.0','https://slack.test/2.0','b4feb09b0826ef5e7f339a8d81b01b2a4d39b939cee1f837c81dee014505e198','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:1:1:1','staging-1','C1','3.0','1.0','https://slack.test/3.0','4094a5454283ffb198043b50595f30c38d2f8f92921146ab4d607fb1c39025ff','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:2:1:1','staging-1','C1','4.0','1.0','https://slack.test/4.0','30cb313b7be8b5e91a5df39b1d893898a5b8e94fef9638f7d3813ba642702b9d','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('approval:staging-1:3:1','staging-1','C1','5.0','1.0','https://slack.test/5.0','dc3ea42239d50663ca323ee61ff9d1b11c50b63ce5e7ee5cd4b3d4a8082bb00c','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:4:1:1','staging-1','C1','6.0','1.0','https://slack.test/6.0','6a83af89fc879acb81a67c79616e9385b4d375e29881806cafb51cfbceb3149a','2026-03-02T12:00:00.000000+00:00');
INSERT INTO "posted" VALUES('note:staging-1:step:5:1:1','staging-1','C1','7.0','1.0','https://slack.test/7.0','d065ede115f8abdea548c67aa4583b16275e90207fcd9bbd7090439178260f62','2026-03-02T12:01:01.000000+00:00');
CREATE TABLE received (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        dedup TEXT NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT,
        received_at TEXT NOT NULL,
        done_at TEXT,
        result TEXT NOT NULL,
        UNIQUE (dedup)
    );
INSERT INTO "received" VALUES(1,'https://hooks.slack.test/b0736086bb6a','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/b0736086bb6a","team":"T1","text":"deploy staging v1.4.0-rc.2","user":"UADA"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','run.started');
INSERT INTO "received" VALUES(2,'https://hooks.slack.test/531df9f80403','command','{"channel":"C1","command":"/forge","response_url":"https://hooks.slack.test/531df9f80403","team":"T1","text":"approve staging-1","user":"USAM"}','2026-03-02T12:00:00.000000+00:00','2026-03-02T12:00:00.000000+00:00','approval.granted');
CREATE TABLE runs (
        id TEXT NOT NULL,
        number INTEGER NOT NULL,
        service TEXT NOT NULL,
        environment TEXT NOT NULL,
        procedure TEXT NOT NULL,
        version TEXT NOT NULL,
        arguments TEXT,
        requester TEXT NOT NULL,
        requester_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        state TEXT NOT NULL,
        ending TEXT,
        ending_code TEXT NOT NULL,
        ending_reason TEXT NOT NULL,
        position INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        plan_hash TEXT NOT NULL,
        setting_hash TEXT NOT NULL,
        facts TEXT,
        interrupt TEXT,
        first_effect_at TEXT,
        paused_at TEXT,
        created_at TEXT NOT NULL,
        ended_at TEXT,
        PRIMARY KEY (id)
    );
INSERT INTO "runs" VALUES('staging-1',1,'shop','staging','staging','v1.4.0-rc.2','{"version":"v1.4.0-rc.2"}','T1:UADA','Ada','','running',NULL,'','',6,1,'749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1','setting-1','{"before_effects_at":"2026-03-02T12:00:00+00:00","migration:0007-currency":{"backward_compatible":true,"direction":"up","finished_at":"2026-03-02T12:01:01+00:00","stage":"expand","started":true,"state":"up"},"previous":{"web":{"app":"registry.example/acme/old@sha256:0"},"worker":{"app":"registry.example/acme/old@sha256:0"}}}',NULL,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE scan_reports (
        id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        tool TEXT NOT NULL,
        format TEXT NOT NULL,
        taken_at TEXT NOT NULL,
        received_at TEXT NOT NULL,
        counts TEXT,
        critical TEXT,
        source TEXT NOT NULL,
        url TEXT NOT NULL,
        content TEXT NOT NULL,
        UNIQUE (content)
    );
CREATE TABLE schema_versions (
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        applied_at TEXT NOT NULL,
        PRIMARY KEY (number)
    );
INSERT INTO "schema_versions" VALUES(1,'first','2026-11-23T05:35:37.318881+00:00');
INSERT INTO "schema_versions" VALUES(2,'marks','2026-11-23T05:35:37.486008+00:00');
INSERT INTO "schema_versions" VALUES(3,'scans','2026-11-23T05:35:37.486520+00:00');
CREATE TABLE seen_tags (
        service TEXT NOT NULL,
        tag TEXT NOT NULL,
        tag_object TEXT NOT NULL,
        "commit" TEXT NOT NULL,
        first_seen_at TEXT NOT NULL,
        PRIMARY KEY (service, tag)
    );
INSERT INTO "seen_tags" VALUES('shop','v1.4.0-rc.2','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','cccccccccccccccccccccccccccccccccccccccc','2026-03-02T12:00:00.000000+00:00');
CREATE TABLE segments (
        run TEXT NOT NULL,
        number INTEGER NOT NULL,
        procedure TEXT NOT NULL,
        plan TEXT NOT NULL,
        hash TEXT NOT NULL,
        first_index INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        replaced_at TEXT,
        PRIMARY KEY (run, number)
    );
INSERT INTO "segments" VALUES('staging-1',1,'staging','{"about":{"changes_url":"","criteria":[{"name":"ci","prod_words":"green","staging_words":"green","title":"CI status","to_prod":"required","to_staging":"required"},{"name":"smoke","prod_words":"","staging_words":"","title":"Smoke tests","to_prod":"required","to_staging":"required"},{"name":"suites","prod_words":"","staging_words":"for early dev; the candidate''s own suites are required to go on","title":"Integration/E2E","to_prod":"required","to_staging":"optional"},{"name":"performance","prod_words":"","staging_words":"","title":"Performance baseline","to_prod":"required","to_staging":"recommended"},{"name":"scan","prod_words":"no critical findings","staging_words":"","title":"Security scan","to_prod":"required","to_staging":"recommended"},{"name":"approvals","prod_words":"Service Owner and Product/Operations","staging_words":"Service Owner","title":"Manual approvals","to_prod":"required","to_staging":"required"}],"durations":{"approval_expires_s":86400.0,"observation_s":30,"rollout_timeout_s":600.0},"images":["registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","registry.example/acme/worker@sha256:2222222222222222222222222222222222222222222222222222222222222222"],"migrations":[{"backward_compatible":true,"down":false,"name":"0007-currency","stage":"expand"},{"backward_compatible":false,"down":true,"name":"0008-rename-total","stage":"expand"},{"backward_compatible":false,"down":false,"name":"0009-drop-price","stage":"contract"}],"migrations_source":".forge/release.yaml","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},"environment":"staging","nodes":[{"checks":[{"kind":"candidate_tag","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},{"code_scanning":false,"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"kind":"clean_scan","max_age_s":604800.0,"repository":"acme/shop","weight":"recommended"}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Release candidate"},{"checks":[{"commit":"cccccccccccccccccccccccccccccccccccccccc","kind":"ci_green","repository":"acme/shop","required":[]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":1800.0,"retries":0,"retry_wait_s":5.0,"title":"CI green"},{"checks":[{"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"deployable","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]}],"every_s":15.0,"kind":"gate","on_fail":"stop","patience_s":0.0,"retries":2,"retry_wait_s":5.0,"title":"Workloads deployable"},{"expires_s":86400.0,"kind":"approval","on_fail":"stop","purpose":"deploy","retries":2,"retry_wait_s":5.0,"roles":["service_owner"],"title":"Deploy to staging"},{"kind":"remember_images","on_fail":"stop","retries":2,"retry_wait_s":5.0,"title":"Remember the images that run now","workloads":[{"container":"app","image":"registry.example/acme/web","name":"web"},{"container":"app","image":"registry.example/acme/worker","name":"worker"}]},{"guards":[{"above":true,"for_s":300.0,"limit":0.03,"metric":"forge:error_ratio:1m","name":"error rate","track":"stable","unit":"ratio"},{"above":true,"for_s":300.0,"limit":1.0,"metric":"forge:latency_p95_seconds:1m","name":"API p95 latency","track":"stable","unit":"s"},{"above":false,"for_s":300.0,"limit":0.95,"metric":"forge:readiness_ratio:1m","name":"readiness success","track":"stable","unit":"ratio"}],"on_breach":"return_to_previous","steps":[{"backward_compatible":true,"base_url":"","direction":"up","down":null,"down_image":"","image":"registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","kind":"migrate","log_tail_bytes":4194304,"migration":"0007-currency","on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"stage":"expand","template":{"args":["migrate","up","0007"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"title":"Expand migration 0007-currency","version":"v1.4.0-rc.2"},{"backward_compatible":false,"base_url":"","direction":"up","down":{"args":["migrate","down","0008"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"down_image":"registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","image":"registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","kind":"migrate","log_tail_bytes":4194304,"migration":"0008-rename-total","on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"stage":"expand","template":{"args":["migrate","up","0008"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"title":"Expand migration 0008-rename-total","version":"v1.4.0-rc.2"},{"base_url":"","image":"registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","kind":"verify_migrations","log_tail_bytes":4194304,"on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"template":{"args":["verify"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"title":"Verify the data","version":"v1.4.0-rc.2"},{"image":{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy web","trouble_within_s":60.0},{"image":{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"},"kind":"deploy_workload","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"timeout_s":600.0,"title":"Deploy worker","trouble_within_s":60.0},{"attempts":3,"base_url":"http://shop.staging","kind":"smoke_test","on_fail":"procedure:return_to_previous","requests":[{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"liveness","optional":false,"path":"/health/live","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"readiness","optional":false,"path":"/health/ready","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":null,"body_contains":"","headers":{},"json_subset":{},"method":"GET","name":"startup","optional":true,"path":"/health/startup","statuses":[200,204],"timeout_s":2.0,"token":""},{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"retries":2,"retry_wait_s":5.0,"service":"shop","title":"Smoke tests","wait_s":2.0},{"base_url":"http://shop.staging","image":"registry.example/acme/tests@sha256:7777777777777777777777777777777777777777777777777777777777777777","kind":"run_suite","log_tail_bytes":4194304,"on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"suite":"api","suite_kind":"integration","template":{"args":["api"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"registry.example/acme/tests","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":""},"title":"API integration tests: api","version":"v1.4.0-rc.2"},{"base_url":"http://shop.staging","image":"registry.example/acme/tests@sha256:7777777777777777777777777777777777777777777777777777777777777777","kind":"run_suite","log_tail_bytes":4194304,"on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"suite":"journeys","suite_kind":"end_to_end","template":{"args":["journeys"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"registry.example/acme/tests","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":""},"title":"End-to-end tests: journeys","version":"v1.4.0-rc.2"},{"base_url":"http://shop.staging","image":"registry.example/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111","kind":"run_suite","log_tail_bytes":4194304,"on_fail":"procedure:return_to_previous","previous_of":"","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"suite":"schema","suite_kind":"migration","template":{"args":["check-schema"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"title":"Migration checks: schema","version":"v1.4.0-rc.2"},{"base_url":"http://shop.staging","image":"","kind":"run_suite","log_tail_bytes":4194304,"on_fail":"procedure:return_to_previous","previous_of":"web/app","retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"suite":"previous","suite_kind":"compatibility","template":{"args":["check-schema"],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"","memory":"","previous":true,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":"web"},"title":"Backward compatibility: previous","version":"v1.4.0-rc.2"},{"base_url":"http://shop.staging","duration_s":60.0,"image":"registry.example/acme/load@sha256:8888888888888888888888888888888888888888888888888888888888888888","kind":"measure_performance","log_tail_bytes":4194304,"max_failed_ratio":0.01,"on_fail":"procedure:return_to_previous","previous_of":"","rate":50.0,"retries":2,"retry_wait_s":5.0,"service":"shop","shown_lines":20,"target":{"p50_s":0.05,"p95_s":0.2,"p99_s":0.4,"throughput":50.0},"template":{"args":[],"command":[],"cpu":"","env":{},"env_from_config_maps":[],"env_from_secrets":[],"image":"registry.example/acme/load","memory":"","previous":false,"service_account":"","start_within_s":120.0,"timeout_s":600.0,"workload":""},"title":"Performance baseline","tolerance":0.1,"version":"v1.4.0-rc.2"},{"acceptance":{"interval_s":1.0,"p95_s":0.25,"success_ratio":0.99,"timeout_s":2.0,"window_s":300.0},"base_url":"http://shop.staging","duration_s":30.0,"health":{"live":"/health/live","ready":"/health/ready","startup":"/health/startup"},"kind":"observe","on_fail":"procedure:return_to_previous","retries":2,"retry_wait_s":5.0,"service":"shop","smoke":[{"body":{"item":1},"body_contains":"","headers":{},"json_subset":{"ok":true},"method":"POST","name":"order","optional":false,"path":"/api/orders","statuses":[200],"timeout_s":5.0,"token":"shop-token"}],"smoke_every_s":30.0,"title":"Observe key metrics and health"},{"checks":[{"kind":"candidate_tag","release":{"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"service":"shop","signer":"ann@example.com","tag_object":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","version":"v1.4.0-rc.2"},"repository":"acme/shop"},{"commit":"cccccccccccccccccccccccccccccccccccccccc","kind":"ci_green","repository":"acme/shop","required":[]},{"kind":"automated_tests","suites":["api","journeys","schema","previous"],"weight":"required"},{"kind":"migrated","migrations":["0007-currency","0008-rename-total"],"verified":true},{"kind":"performance_kept","target":{"p50_s":0.05,"p95_s":0.2,"p99_s":0.4,"throughput":50.0},"weight":"required"},{"code_scanning":false,"commit":"cccccccccccccccccccccccccccccccccccccccc","images":[{"container":"app","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","repository":"registry.example/acme/web","tag":"v1.4.0-rc.2","workload":"web"},{"container":"app","digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","repository":"registry.example/acme/worker","tag":"v1.4.0-rc.2","workload":"worker"}],"kind":"clean_scan","max_age_s":604800.0,"repository":"acme/shop","weight":"required"},{"kind":"steady_state","max_error_ratio":0.01,"max_latency_p95_s":0.4,"min_requests":10,"service":"shop","window":"1m"},{"kind":"key_metrics","queue_lag_for_s":900.0,"service":"shop","thresholds":[{"above":false,"for_s":0.0,"limit":0.98,"metric":"core_transaction_success_ratio","name":"core transaction success","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.05,"metric":"job_failure_ratio","name":"background job failures","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.9,"metric":"cpu_utilization_ratio","name":"CPU utilization","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.9,"metric":"memory_working_set_ratio","name":"memory working set of its limit","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.0,"metric":"oom_kills","name":"OOM kills","unit":"count"},{"above":true,"for_s":0.0,"limit":3.0,"metric":"container_restarts","name":"container restarts","unit":"count"},{"above":true,"for_s":0.0,"limit":0.1,"metric":"disk_io_latency_seconds","name":"disk I/O latency","unit":"s"},{"above":true,"for_s":0.0,"limit":0.9,"metric":"disk_io_saturation_ratio","name":"disk I/O saturation","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.05,"metric":"network_retransmit_ratio","name":"network retransmits","unit":"ratio"},{"above":true,"for_s":0.0,"limit":0.75,"metric":"postgres_connection_ratio","name":"PostgreSQL connection utilization","unit":"ratio"},{"above":true,"for_s":0.0,"limit":60.0,"metric":"postgres_replication_lag_seconds","name":"PostgreSQL replication lag","unit":"s"}],"windows":{"baseline":"1d","month":"30d","window":"1m"},"without":[]},{"floor":0.001,"kind":"dependency_timeouts","over":0.2,"service":"shop","windows":{"baseline":"1d","month":"30d","window":"1m"},"without":[]}],"every_s":15.0,"kind":"gate","on_fail":"procedure:return_to_previous","patience_s":1800.0,"retries":0,"retry_wait_s":5.0,"title":"Staging promotion gate"},{"expires_s":86400.0,"kind":"approval","on_fail":"procedure:return_to_previous","purpose":"go","retries":2,"retry_wait_s":5.0,"roles":["product","service_owner"],"title":"Go or no-go"}]},{"kind":"record_decision","on_fail":"hold","result":"go","retries":2,"retry_wait_s":5.0,"title":"Record the result"},{"kind":"announce","moment":"completed","on_fail":"continue","retries":2,"retry_wait_s":5.0,"title":"Announce the result"}],"procedure":"staging","service":"shop","version":"v1.4.0-rc.2"}','749c710c9f9967571c4b85cbb6669e0138b428cf0f1788ae22a5e75a9c09cce1',0,'2026-03-02T12:00:00.000000+00:00',NULL);
CREATE TABLE steps (
        run TEXT NOT NULL,
        "index" INTEGER NOT NULL,
        segment INTEGER NOT NULL,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        started_at TEXT,
        deadline TEXT,
        finished_at TEXT,
        outcome TEXT,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        verdicts TEXT,
        progress TEXT,
        escalation INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (run, "index")
    );
INSERT INTO "steps" VALUES('staging-1',0,1,'gate','Release candidate','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"tag object","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","window_s":null},{"at":null,"limit":null,"name":"commit","samples":null,"source":"v1.4.0-rc.2","unit":"","value":"cccccccccccccccccccccccccccccccccccccccc","window_s":null},{"at":null,"limit":null,"name":"signer","samples":null,"source":"","unit":"","value":"ann@example.com","window_s":null}],"gate":"candidate tag","outcome":"pass","reason":"v1.4.0-rc.2 is signed by ann@example.com on cccccccccccc","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":"sha256:1111111111111111111111111111111111111111111111111111111111111111","name":"web","samples":null,"source":"registry.example/acme/web:v1.4.0-rc.2","unit":"","value":"sha256:1111111111111111111111111111111111111111111111111111111111111111","window_s":null},{"at":null,"limit":"sha256:2222222222222222222222222222222222222222222222222222222222222222","name":"worker","samples":null,"source":"registry.example/acme/worker:v1.4.0-rc.2","unit":"","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222","window_s":null}],"gate":"image digests","outcome":"pass","reason":"the images of web and worker still have the frozen digests","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: web","outcome":"pass","reason":"trivy 0.62 finds nothing critical in web, 0 s ago; it finds 2 high","remedy":""},{"binding":false,"code":"ok","evidence":[{"at":"2026-03-02T12:00:00Z","limit":0,"name":"open critical findings","samples":null,"source":"webhook","unit":"count","value":0,"window_s":null},{"at":null,"limit":604800.0,"name":"age","samples":null,"source":"trivy 0.62, webhook","unit":"s","value":0.0,"window_s":null},{"at":null,"limit":null,"name":"high findings","samples":null,"source":"webhook","unit":"count","value":2,"window_s":null}],"gate":"security scan: worker","outcome":"pass","reason":"trivy 0.62 finds nothing critical in worker, 0 s ago; it finds 2 high","remedy":""}]',NULL,0,1);
INSERT INTO "steps" VALUES('staging-1',1,1,'gate','CI green','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','1 of 1 checks are green on cccccccccccc','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":1,"name":"green checks","samples":null,"source":"cccccccccccccccccccccccccccccccccccccccc","unit":"count","value":1,"window_s":null}],"gate":"CI green","outcome":"pass","reason":"1 of 1 checks are green on cccccccccccc","remedy":""}]',NULL,0,1);
INSERT INTO "steps" VALUES('staging-1',2,1,'gate','Workloads deployable','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','web has both probes and 2 replicas','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"web","samples":null,"source":"deployment/web","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"web has both probes and 2 replicas","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"worker","samples":null,"source":"deployment/worker","unit":"count","value":2,"window_s":null}],"gate":"workloads deployable","outcome":"pass","reason":"worker has both probes and 2 replicas","remedy":""}]',NULL,0,1);
INSERT INTO "steps" VALUES('staging-1',3,1,'approval','Deploy to staging','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','approval.granted','approved by Sam','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',4,1,'remember_images','Remember the images that run now','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:00:00.000000+00:00','pass','ok','web runs old@sha256:0','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/web","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"web runs old@sha256:0","remedy":""},{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"image","samples":null,"source":"deployment/worker","unit":"","value":"registry.example/acme/old@sha256:0","window_s":null}],"gate":"Remember the images that run now","outcome":"pass","reason":"worker runs old@sha256:0","remedy":""}]',NULL,0,1);
INSERT INTO "steps" VALUES('staging-1',5,1,'migrate','Expand migration 0007-currency','done',1,'2026-03-02T12:00:00.000000+00:00',NULL,'2026-03-02T12:01:01.000000+00:00','pass','ok','ended well after 1 min','[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"result","samples":null,"source":"job/forge-staging-1-5","unit":"","value":"succeeded","window_s":null},{"at":null,"limit":0,"name":"exit code","samples":null,"source":"job/forge-staging-1-5","unit":"","value":0,"window_s":null},{"at":null,"limit":600.0,"name":"duration","samples":null,"source":"job/forge-staging-1-5","unit":"s","value":60.0,"window_s":null},{"at":null,"limit":null,"name":"last lines of the log","samples":null,"source":"pod/forge-staging-1-5-x7k2p","unit":"","value":"done","window_s":null}],"gate":"Expand migration 0007-currency","outcome":"pass","reason":"ended well after 1 min","remedy":""}]','{"attempt":1,"created_at":"2026-03-02T12:00:00+00:00","ended":true,"key":"61a2cebfbe65e8ca","number":1,"result":{"charts":[],"facts":{"migration:0007-currency":{"backward_compatible":true,"direction":"up","finished_at":"2026-03-02T12:01:01+00:00","stage":"expand","started":true,"state":"up"}},"verdicts":[{"binding":true,"code":"ok","evidence":[{"at":null,"limit":null,"name":"result","samples":null,"source":"job/forge-staging-1-5","unit":"","value":"succeeded","window_s":null},{"at":null,"limit":0,"name":"exit code","samples":null,"source":"job/forge-staging-1-5","unit":"","value":0,"window_s":null},{"at":null,"limit":600.0,"name":"duration","samples":null,"source":"job/forge-staging-1-5","unit":"s","value":60.0,"window_s":null},{"at":null,"limit":null,"name":"last lines of the log","samples":null,"source":"pod/forge-staging-1-5-x7k2p","unit":"","value":"done","window_s":null}],"gate":"Expand migration 0007-currency","outcome":"pass","reason":"ended well after 1 min","remedy":""}]}}',0,1);
INSERT INTO "steps" VALUES('staging-1',6,1,'migrate','Expand migration 0008-rename-total','running',1,'2026-03-02T12:01:01.000000+00:00',NULL,NULL,NULL,'','','[]','{"attempt":1,"created_at":"2026-03-02T12:01:01+00:00","ended":false,"key":"f33c0de87718f4d7","number":1,"result":null}',0,1);
INSERT INTO "steps" VALUES('staging-1',7,1,'verify_migrations','Verify the data','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',8,1,'deploy_workload','Deploy web','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',9,1,'deploy_workload','Deploy worker','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',10,1,'smoke_test','Smoke tests','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',11,1,'run_suite','API integration tests: api','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',12,1,'run_suite','End-to-end tests: journeys','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',13,1,'run_suite','Migration checks: schema','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',14,1,'run_suite','Backward compatibility: previous','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',15,1,'measure_performance','Performance baseline','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',16,1,'observe','Observe key metrics and health','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',17,1,'gate','Staging promotion gate','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',18,1,'approval','Go or no-go','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',19,1,'record_decision','Record the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
INSERT INTO "steps" VALUES('staging-1',20,1,'announce','Announce the result','pending',0,NULL,NULL,NULL,NULL,'','','[]',NULL,0,0);
CREATE INDEX runs_by_environment ON runs (environment, service, number);
CREATE INDEX runs_by_state ON runs (state);
CREATE INDEX steps_by_state ON steps (state);
CREATE INDEX clicks_by_step ON clicks (run, "index");
CREATE INDEX buttons_by_run ON buttons (run, "index");
CREATE INDEX received_by_done_at ON received (done_at);
CREATE INDEX outgoing_by_run ON outgoing (run);
CREATE INDEX outgoing_by_state ON outgoing (state, id);
CREATE INDEX outgoing_by_subject ON outgoing (subject, state);
CREATE INDEX posted_by_place ON posted (channel, ts);
CREATE INDEX posted_by_run ON posted (run);
CREATE INDEX decisions_by_version ON decisions (service, environment, version);
CREATE INDEX audit_by_subject ON audit (subject);
CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is deleted'); END;
CREATE TRIGGER audit_keeps_wording BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is changed'); END;
CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: entries follow one another'); END;
CREATE INDEX scan_reports_by_subject ON scan_reports (subject, taken_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('received',2);
INSERT INTO "sqlite_sequence" VALUES('outgoing',86);
INSERT INTO "sqlite_sequence" VALUES('clicks',1);
COMMIT;
